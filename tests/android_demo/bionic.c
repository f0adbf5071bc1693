/*
 * Android's C library for a desktop: what libraries of the NDK for x86-64 import and glibc lacks, or does in another way.
 *
 * Built for tests by bionic.py, which also shortens the names of the second kind: `sysconf` becomes `ysconf`, and so on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Preloaded, this is the linker that Java calls. Android searches the libraries that are loaded together first, so that all of
 * them share ExecuTorch's own C++ runtime and its exceptions; here the Java machine's would come first.
 */
void *dlopen(const char *file, int mode) {
  void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
  int is_ours = file != NULL && strstr(file, "/libexecutorch.so") != NULL;
  return next(file, is_ours ? mode | RTLD_DEEPBIND : mode);
}

/* Streams: older libraries take the addresses of an array of three, whose entries have this size. */
#define STREAM_SIZE 152
char __sF[3 * STREAM_SIZE];

static FILE *stream(FILE *given) {
  FILE *host[] = {stdin, stdout, stderr};
  ptrdiff_t offset = (char *)given - __sF;
  return offset >= 0 && offset < (ptrdiff_t)sizeof __sF ? host[offset / STREAM_SIZE] : given;
}

int android_vfprintf(FILE *to, const char *format, va_list values) __asm__("ntf");
int android_vfprintf(FILE *to, const char *format, va_list values) { return vfprintf(stream(to), format, values); }

int android_fprintf(FILE *to, const char *format, ...) __asm__("intf");
int android_fprintf(FILE *to, const char *format, ...) {
  va_list values;
  va_start(values, format);
  int count = vfprintf(stream(to), format, values);
  va_end(values);
  return count;
}

size_t android_fwrite(const void *from, size_t size, size_t count, FILE *to) __asm__("rite");
size_t android_fwrite(const void *from, size_t size, size_t count, FILE *to) {
  return fwrite(from, size, count, stream(to));
}

int android_fflush(FILE *to) __asm__("lush");
int android_fflush(FILE *to) { return fflush(to == NULL ? NULL : stream(to)); }

int android_fputc(int character, FILE *to) __asm__("utc");
int android_fputc(int character, FILE *to) { return fputc(character, stream(to)); }

int android_fputs(const char *text, FILE *to) __asm__("uts");
int android_fputs(const char *text, FILE *to) { return fputs(text, stream(to)); }

int android_ferror(FILE *of) __asm__("rror");
int android_ferror(FILE *of) { return ferror(stream(of)); }

/* Numbers of sysconf: another list. */
long android_sysconf(int name) __asm__("ysconf");
long android_sysconf(int name) {
  switch (name) {
    case 0x27:
    case 0x28:
      return sysconf(_SC_PAGESIZE);
    case 0x60:
      return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61:
      return sysconf(_SC_NPROCESSORS_ONLN);
    case 0x62:
      return sysconf(_SC_PHYS_PAGES);
    default:
      errno = EINVAL;
      return -1;
  }
}

/* Sets of signals: 8 bytes there, 128 here. */
int android_sigfillset(unsigned long *set) __asm__("igfillset");
int android_sigfillset(unsigned long *set) {
  *set = ~0ul;
  return 0;
}

int android_sigmask(int how, const unsigned long *set, unsigned long *old) __asm__("thread_sigmask");
int android_sigmask(int how, const unsigned long *set, unsigned long *old) {
  sigset_t wanted, before;
  sigemptyset(&wanted);
  if (set != NULL) memcpy(&wanted, set, sizeof *set);
  int status = pthread_sigmask(how, set == NULL ? NULL : &wanted, &before);
  if (old != NULL) memcpy(old, &before, sizeof *old);
  return status;
}

/* Errors: the plain name is POSIX's function there, and GNU's here. */
int __xpg_strerror_r(int number, char *text, size_t size);
int android_strerror(int number, char *text, size_t size) __asm__("trerror_r");
int android_strerror(int number, char *text, size_t size) { return __xpg_strerror_r(number, text, size); }
char *__gnu_strerror_r(int number, char *text, size_t size) { return strerror_r(number, text, size); }
int *__errno(void) { return __errno_location(); }

/* Checks that the NDK's headers add: sizes are known to the compiler, and trusted here. */
size_t __strlen_chk(const char *text, size_t size) { return strlen(text); }
char *__strchr_chk(const char *text, int character, size_t size) { return strchr(text, character); }
char *__strrchr_chk(const char *text, int character, size_t size) { return strrchr(text, character); }
ssize_t __write_chk(int file, const void *from, size_t count, size_t size) { return write(file, from, count); }

/* Android's log and properties. */
int __android_log_vprint(int priority, const char *tag, const char *format, va_list values) {
  flockfile(stderr);
  fprintf(stderr, "%s: ", tag == NULL ? "" : tag);
  int count = vfprintf(stderr, format, values);
  fputc('\n', stderr);
  funlockfile(stderr);
  return count;
}

int __android_log_print(int priority, const char *tag, const char *format, ...) {
  va_list values;
  va_start(values, format);
  int count = __android_log_vprint(priority, tag, format, values);
  va_end(values);
  return count;
}

int __android_log_write(int priority, const char *tag, const char *text) {
  return __android_log_print(priority, tag, "%s", text);
}

void __android_log_assert(const char *condition, const char *tag, const char *format, ...) {
  va_list values;
  va_start(values, format);
  if (format != NULL) __android_log_vprint(0, tag, format, values);
  va_end(values);
  abort();
}

void android_set_abort_message(const char *text) { fprintf(stderr, "abort: %s\n", text); }

void __assert2(const char *file, int line, const char *function, const char *condition) {
  fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
  abort();
}

int __system_property_get(const char *name, char *value) {
  *value = '\0';
  return 0;
}

void __gcov_dump(void) {}
void __gcov_flush(void) {}
