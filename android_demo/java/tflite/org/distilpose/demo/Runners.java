package org.distilpose.demo;

import java.io.File;

/** The runtime that this build packs: TensorFlow Lite. */
final class Runners {
    static final String TARGET = "tflite";

    private Runners() {}

    /** See `TfliteRunner`. */
    static Runner open(File file, InputSpec input, int joints, int threads) throws Failure {
        return new TfliteRunner(file, input, joints, threads);
    }

    /** Distribution -> version of the runtime, for records. */
    static String version() throws Failure {
        return TfliteRunner.version();
    }
}
