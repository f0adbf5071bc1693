package org.distilpose.demo;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.regex.Pattern;

/** The app's own folder for jobs: a job names files in it, and opens nothing outside. */
final class JobFolder {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-]{1,64}");
    private static final long LARGEST = 16L << 20; // bytes of a job, whose golden crops are at most 4096 x 4096

    final File folder;

    JobFolder(File folder) {
        this.folder = folder;
    }

    /**
     * The text of a job.
     *
     * @throws Failure no such name, or no such file
     */
    String read(String name) throws Failure {
        File file = file(name, ".json");
        try {
            if (!file.isFile() || file.length() > LARGEST) throw new Failure("agent", "no job " + file + "; send it again");
            return new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new Failure("agent", "cannot read the job " + file + "; send it again", error);
        }
    }

    /**
     * The file of a job's events.
     *
     * @throws Failure no name of a job
     */
    File events(String name) throws Failure {
        return file(name, ".events");
    }

    /**
     * A file that a job names.
     *
     * @param path relative to the folder
     * @throws Failure it lies outside, directly or through a link
     */
    File resolve(String path) throws Failure {
        try {
            File root = folder.getCanonicalFile();
            File file = new File(root, path).getCanonicalFile();
            if (new File(path).isAbsolute() || !file.toPath().startsWith(root.toPath()) || file.equals(root)) {
                throw new Failure("agent", path + " is not in the app's own folder, where a job's files belong");
            }
            return file;
        } catch (IOException error) {
            throw new Failure("agent", "cannot look at " + path + "; send the job again", error);
        }
    }

    private File file(String name, String suffix) throws Failure {
        if (name == null || !NAME.matcher(name).matches()) throw new Failure("agent", "'" + name + "' is no name of a job");
        return new File(folder, name + suffix);
    }
}
