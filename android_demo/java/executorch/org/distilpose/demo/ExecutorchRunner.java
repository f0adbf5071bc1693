package org.distilpose.demo;

import com.facebook.soloader.nativeloader.NativeLoader;
import com.facebook.soloader.nativeloader.SystemDelegate;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.pytorch.executorch.EValue;
import org.pytorch.executorch.ExecutorchRuntimeException;
import org.pytorch.executorch.ExecuTorchRuntime;
import org.pytorch.executorch.Module;
import org.pytorch.executorch.Tensor;

/** A `.pte` file in ExecuTorch. Each inference allocates what ExecuTorch's Java classes allocate for their answers. */
final class ExecutorchRunner implements Runner {
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
            int code = module.loadMethod("forward");
            if (code != ExecutorchRuntimeException.OK) throw refused(file, reason(code));
        } catch (RuntimeException error) {
            throw refused(file, reason(error));
        }
    }

    /**
     * Load the library.
     *
     * @throws Failure it cannot be loaded on this processor
     */
    static void load() throws Failure {
        try {
            if (!NativeLoader.isInitialized()) NativeLoader.init(new SystemDelegate());
            ExecuTorchRuntime.getRuntime();
        } catch (LinkageError error) {
            throw new Failure("runtime", "ExecuTorch has no library for this phone's processor in this app, "
                + "which is built for arm64-v8a", error);
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
        if (answers.length != 2) throw refused(file, "it has " + answers.length + " outputs, not coords and scores");
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
            throw refused(file, "it answers " + values.length + " values where its card has " + to.length);
        }
        System.arraycopy(values, 0, to, 0, to.length);
    }

    private static String reason(RuntimeException error) {
        boolean isKnown = error instanceof ExecutorchRuntimeException;
        return isKnown ? reason(((ExecutorchRuntimeException) error).getErrorCode()) : Failure.oneLine(error);
    }

    /** An error code of ExecuTorch (runtime/core/error.h) in words. */
    static String reason(int code) {
        switch (code) {
            case ExecutorchRuntimeException.INVALID_PROGRAM:
                return "it is damaged, or newer than the ExecuTorch of this app";
            case ExecutorchRuntimeException.OPERATOR_MISSING:
                return "it has an operator that the ExecuTorch of this app does not have";
            case ExecutorchRuntimeException.NOT_FOUND:
                return "it needs a backend that this app does not have";
            case ExecutorchRuntimeException.DELEGATE_INVALID_COMPATIBILITY:
                return "it was lowered for another version of its backend";
            case ExecutorchRuntimeException.MEMORY_ALLOCATION_FAILED:
            case ExecutorchRuntimeException.DELEGATE_MEMORY_ALLOCATION_FAILED:
            case ExecutorchRuntimeException.OUT_OF_RESOURCES:
                return "there is not enough memory; close other apps";
            case ExecutorchRuntimeException.ACCESS_FAILED:
                return "it cannot be read";
            case ExecutorchRuntimeException.INVALID_ARGUMENT:
            case ExecutorchRuntimeException.INVALID_TYPE:
                return "its input is not the tensor that its card describes";
            default:
                return "error 0x" + Integer.toHexString(code) + " of ExecuTorch's runtime/core/error.h";
        }
    }

    private static Failure refused(File file, String reason) {
        return new Failure("artefact", "ExecuTorch refuses " + file.getName() + ": " + reason + "; export it again");
    }
}
