package org.distilpose.demo;

import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorByteSize;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorData;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorType;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteVersion;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteFloat32;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteUInt8;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorflowlite.BuiltinOpResolver;
import org.bytedeco.tensorflowlite.FlatBufferModel;
import org.bytedeco.tensorflowlite.Interpreter;
import org.bytedeco.tensorflowlite.InterpreterBuilder;
import org.bytedeco.tensorflowlite.TfLiteTensor;

/**
 * A `.tflite` file in TensorFlow Lite, through org.bytedeco's classes, which are the same on Android and on a desktop JVM.
 *
 * The C++ classes are used: only their resolver applies XNNPACK, TfLiteInterpreter's C functions do not.
 */
final class TfliteRunner implements Runner {
    private static final int DELEGATE = 51; // of the schema's BuiltinOperator
    private final BytePointer data; // the model points into it
    private final FlatBufferModel model;
    private final BuiltinOpResolver operators;
    private final Interpreter interpreter;
    private final ByteBuffer input;
    private final FloatBuffer coords;
    private final FloatBuffer scores;

    /**
     * Map a file and open it.
     *
     * @throws Failure the phone's processor has no such library, or the file is no model of that input and those outputs
     */
    TfliteRunner(File file, InputSpec spec, int joints, int threads) throws Failure {
        version(); // before anything else that needs the library
        operators = new BuiltinOpResolver();
        interpreter = new Interpreter((Pointer) null);
        data = map(file);
        model = FlatBufferModel.VerifyAndBuildFromBuffer(data, data.capacity());
        if (model == null || model.isNull()) throw refused(file, "it is no TFLite model");
        try (InterpreterBuilder builder = new InterpreterBuilder(model, operators)) {
            builder.SetNumThreads(threads);
            if (builder.apply(interpreter) != 0) {
                throw refused(file, "it has an operator that TensorFlow Lite " + version() + " does not know");
            }
        }
        if (interpreter.AllocateTensors() != 0) throw refused(file, "its tensors do not fit together");
        int type = spec.takesPixels ? kTfLiteUInt8 : kTfLiteFloat32;
        input = memory(file, interpreter.input_tensor(0), type, spec.tensorBytes());
        coords = output(file, "coords", 2 * joints);
        scores = output(file, "scores", joints);
    }

    /**
     * Version of the library.
     *
     * @throws Failure it cannot be loaded on this processor
     */
    static String version() throws Failure {
        try {
            return TfLiteVersion().getString();
        } catch (LinkageError error) {
            throw Failure.noLibrary("TensorFlow Lite", error);
        }
    }

    @Override public ByteBuffer input() {
        return input;
    }

    @Override public void run(float[] coords, float[] scores) throws Failure {
        if (interpreter.Invoke() != 0) {
            throw new Failure("artefact", "TensorFlow Lite failed while it ran; is there enough memory? Close other apps");
        }
        this.coords.rewind();
        this.coords.get(coords);
        this.scores.rewind();
        this.scores.get(scores);
    }

    @Override public String accelerator() {
        IntPointer plan = interpreter.execution_plan();
        for (long i = 0; i < plan.limit(); i++) {
            if (interpreter.node_and_registration(plan.get(i)).second().builtin_code() == DELEGATE) return "XNNPACK";
        }
        return "built-in kernels";
    }

    @Override public void close() {
        interpreter.close();
        operators.close();
        model.close();
        data.close();
    }

    private FloatBuffer output(File file, String name, int count) throws Failure {
        for (int i = 0; i < interpreter.outputs().limit(); i++) {
            TfLiteTensor tensor = interpreter.output_tensor(i);
            if (tensor.name() != null && tensor.name().getString().equals(name)) {
                return memory(file, tensor, kTfLiteFloat32, Float.BYTES * count).asFloatBuffer();
            }
        }
        throw refused(file, "it has no output " + name);
    }

    private static ByteBuffer memory(File file, TfLiteTensor tensor, int type, int bytes) throws Failure {
        if (TfLiteTensorType(tensor) != type || TfLiteTensorByteSize(tensor) != bytes) {
            long actual = TfLiteTensorByteSize(tensor);
            throw refused(file, "a tensor of " + actual + " bytes is not the one that its card describes");
        }
        return new BytePointer(TfLiteTensorData(tensor)).capacity(bytes).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    private static BytePointer map(File file) throws Failure {
        try (FileInputStream in = new FileInputStream(file); FileChannel channel = in.getChannel()) {
            return new BytePointer(channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()));
        } catch (IOException error) {
            throw new Failure("artefact", "cannot read " + file + "; export or send it again", error);
        }
    }

    private static Failure refused(File file, String reason) {
        return new Failure("artefact", "TensorFlow Lite refuses " + file.getName() + ": " + reason + "; export it again");
    }
}
