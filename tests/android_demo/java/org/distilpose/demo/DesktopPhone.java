package org.distilpose.demo;

import java.io.File;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/** The app of an emulated phone: JobActivity without Android. Arguments: folder of jobs, job, whether it is killed. */
final class DesktopPhone {
    private DesktopPhone() {}

    public static void main(String[] arguments) throws Exception {
        JobFolder folder = new JobFolder(new File(arguments[0]));
        boolean isKilled = arguments[2].equals("True");
        try (OutputStream out = new Killer(new FileOutputStream(folder.events(arguments[1])), isKilled)) {
            new JobRunner(folder, new Events(out), true, () -> null).run(folder.read(arguments[1]));
        }
        Runtime.getRuntime().halt(0); // ExecuTorch's Java classes leave a thread behind
    }

    /** Ends the process, as Android does, when the first event has been written. */
    private static final class Killer extends FilterOutputStream {
        private final boolean isKilled;

        Killer(OutputStream out, boolean isKilled) {
            super(out);
            this.isKilled = isKilled;
        }

        @Override public void write(byte[] bytes, int from, int count) throws IOException {
            out.write(bytes, from, count);
            if (isKilled && count > 0) Runtime.getRuntime().halt(137);
        }
    }
}
