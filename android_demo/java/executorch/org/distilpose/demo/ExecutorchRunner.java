package org.distilpose.demo;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.pytorch.executorch.EValue;
import org.pytorch.executorch.ExecutorchRuntimeException;
import org.pytorch.executorch.ExecuTorchRuntime;
import org.pytorch.executorch.Module;
import org.pytorch.executorch.Tensor;

/**
 * A `.pte` file in ExecuTorch. Each inference allocates what ExecuTorch's Java classes allocate for their answers.
 *
 * ExecuTorch runs files of older versions. One of a newer version runs if it has nothing that this version lacks.
 */
final class ExecutorchRunner implements Runner {
    private static final String NEWER =
        "; a file of a newer ExecuTorch needs an app that packs that one, see android_demo/README.md";
    private static final Pattern NATIVE_CODE = Pattern.compile("Native Error: 0x([0-9a-f]{1,4})\\b");

    private final File file;
    private final Module module;
    private final ByteBuffer input;
    private final EValue tensor;
    private final int joints;

    /**
     * Map a file and open it.
     *
     * @throws Failure the phone's processor has no such library, or the file is no program that this ExecuTorch can run
     */
    ExecutorchRunner(File file, InputSpec spec, int joints, int threads) throws Failure {
        load();
        this.file = file;
        this.joints = joints;
        input = ByteBuffer.allocateDirect(spec.tensorBytes()).order(ByteOrder.nativeOrder());
        long[] shape = spec.channelsFirst ? new long[] {1, 3, spec.height, spec.width}
            : new long[] {1, spec.height, spec.width, 3};
        tensor = EValue.from(spec.takesPixels ? Tensor.fromBlobUnsigned(input, shape)
            : Tensor.fromBlob(input.asFloatBuffer(), shape));
        try {
            module = Module.load(file.getPath(), Module.LOAD_MODE_MMAP, threads);
            module.loadMethod("forward"); // 1.1 returns an error, later versions throw it; the first run reports both
        } catch (RuntimeException error) {
            throw refused(file, loadingReason(error));
        }
    }

    /**
     * Load the library.
     *
     * @throws Failure it cannot be loaded on this processor
     */
    static void load() throws Failure {
        try {
            ExecuTorchRuntime.getRuntime();
        } catch (LinkageError error) {
            throw Failure.noLibrary("ExecuTorch", error);
        }
    }

    @Override public ByteBuffer input() {
        return input;
    }

    @Override public void run(float[] coords, float[] scores) throws Failure {
        EValue[] answers;
        try {
            answers = module.forward(tensor);
        } catch (RuntimeException error) {
            throw refused(file, reason(error));
        }
        if (answers.length != 2) {
            throw refused(file, "it has " + answers.length + " outputs, not coords and scores; export it again");
        }
        copy(answers[0], coords);
        copy(answers[1], scores);
    }

    @Override public String accelerator() {
        String[] backends = module.getMethodMetadata("forward").getBackends();
        return backends == null || backends.length == 0 ? "portable kernels" : String.join(", ", backends);
    }

    @Override public void close() {
        module.destroy();
    }

    private void copy(EValue answer, float[] to) throws Failure {
        float[] values = answer.toTensor().getDataAsFloatArray();
        if (values.length != to.length) {
            String counts = "it answers " + values.length + " values, its card has " + to.length;
            throw refused(file, counts + "; export it again");
        }
        System.arraycopy(values, 0, to, 0, to.length);
    }

    /** Every failure to load comes as an invalid argument; its message ends with the code of what went wrong. */
    private static String loadingReason(RuntimeException error) {
        Matcher code = NATIVE_CODE.matcher(Failure.oneLine(error));
        if (!code.find()) return reason(error);
        int number = Integer.parseInt(code.group(1), 16);
        boolean isShort = number == ExecutorchRuntimeException.INVALID_ARGUMENT; // less than a header
        return reason(isShort ? ExecutorchRuntimeException.INVALID_PROGRAM : number);
    }

    private static String reason(RuntimeException error) {
        boolean isKnown = error instanceof ExecutorchRuntimeException;
        return isKnown ? reason(((ExecutorchRuntimeException) error).getErrorCode()) : Failure.oneLine(error);
    }

    /** An error code of ExecuTorch (runtime/core/error.h) in words, and how to fix it. */
    static String reason(int code) {
        switch (code) {
            case ExecutorchRuntimeException.INVALID_PROGRAM:
                return "it is damaged, or of a format that this version does not know" + NEWER;
            case ExecutorchRuntimeException.OPERATOR_MISSING:
                return "it has an operator that this version does not have" + NEWER;
            case ExecutorchRuntimeException.DELEGATE_INVALID_COMPATIBILITY:
                return "it was lowered for another version of its backend" + NEWER;
            case ExecutorchRuntimeException.NOT_FOUND:
                return "it needs a backend that this app does not have, or lacks data; export it with the delegate xnnpack";
            case ExecutorchRuntimeException.MEMORY_ALLOCATION_FAILED:
            case ExecutorchRuntimeException.DELEGATE_MEMORY_ALLOCATION_FAILED:
            case ExecutorchRuntimeException.OUT_OF_RESOURCES:
                return "there is not enough memory; close other apps";
            case ExecutorchRuntimeException.ACCESS_FAILED:
                return "it cannot be read; send it again, or install the app again";
            case ExecutorchRuntimeException.NOT_SUPPORTED: // another size than that of its tensor
            case ExecutorchRuntimeException.INVALID_ARGUMENT:
            case ExecutorchRuntimeException.INVALID_TYPE:
                return "its input is not the tensor that its card describes; export it again";
            default:
                return "error 0x" + Integer.toHexString(code) + " of ExecuTorch's runtime/core/error.h; export it again";
        }
    }

    private static Failure refused(File file, String reason) {
        return new Failure("artefact",
            "ExecuTorch " + BuildConfig.EXECUTORCH_VERSION + " refuses " + file.getName() + ": " + reason);
    }
}
