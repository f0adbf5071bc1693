package org.distilpose.demo;

import java.io.File;

/** The runtime that this build packs: ExecuTorch. */
final class Runners {
    static final String TARGET = "executorch";

    private Runners() {}

    /** See `ExecutorchRunner`. */
    static Runner open(File file, InputSpec input, int joints, int threads) throws Failure {
        return new ExecutorchRunner(file, input, joints, threads);
    }

    /** Version of the runtime, for records. */
    static String version() throws Failure {
        ExecutorchRunner.load();
        return BuildConfig.EXECUTORCH_VERSION; // the library does not tell it
    }
}
