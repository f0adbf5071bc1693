package org.distilpose.demo;

/** What went wrong, in one line for whoever holds the phone or runs a job: what, where, and how to fix it. */
final class Failure extends Exception {
    /** Of the job protocol: runtime, artefact, golden, affinity, memory or agent. */
    final String kind;

    Failure(String kind, String message) {
        super(message);
        this.kind = kind;
    }

    Failure(String kind, String message, Throwable cause) {
        super(message + " (" + oneLine(cause) + ")", cause);
        this.kind = kind;
    }

    /** A runtime's library does not load: on another processor than that of the app's libraries, or it is damaged. */
    static Failure noLibrary(String runtime, LinkageError error) {
        String processor = System.getProperty("os.arch");
        if ("aarch64".equals(processor)) {
            return new Failure("runtime", runtime + " cannot be loaded; install the app again", error);
        }
        return new Failure("runtime", runtime + " does not run on this phone's processor (" + processor
            + "): the app is built for arm64-v8a, take a phone with a 64-bit ARM system");
    }

    /** The message of any error as one line. */
    static String oneLine(Throwable error) {
        String text = error.getMessage() == null ? "" : error.getMessage().trim().replaceAll("\\s+", " ");
        return text.isEmpty() ? error.getClass().getSimpleName() : text.substring(0, Math.min(text.length(), 300));
    }
}
