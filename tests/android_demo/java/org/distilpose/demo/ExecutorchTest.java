package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

/** The app's runner of `.pte` files: those that the exporter makes, and those that its runtime cannot run. */
public class ExecutorchTest {
    private static final String NEWER = "a file of a newer ExecuTorch needs an app that packs that one";

    @Test public void filesOfTheExporterRunInXnnpack() throws Exception {
        for (String precision : new String[] {"int8", "fp32"}) {
            try (Model model = Bundled.open(precision, 1)) {
                model.replay();
                assertTrue(model.accelerator(), model.accelerator().contains("XnnpackBackend"));
            }
        }
        assertTrue(Runners.version(), Runners.version().matches("1\\.\\d+\\.\\d+"));
    }

    @Test public void filesOfANewerExecutorchAreRefusedInWords() throws Exception {
        byte[] bytes = bundled();
        refused(changed(bytes, "ET12", "ET99"), "of a format that this version does not know", NEWER);
        byte[] undelegated = Files.readAllBytes(new File(Vectors.WORK, "undelegated.pte").toPath());
        refused(changed(undelegated, "aten::", "newer:"), "an operator that this version does not have", NEWER);
        refused(changed(bytes, "XN01", "XN99"), "another version of its backend", NEWER);
        refused(changed(bytes, "XnnpackBackend", "QnnXyzwBackend"), "a backend that this app does not have", "xnnpack");
    }

    @Test public void anInputThatIsNotThatOfTheCardIsNamed() throws Exception {
        Card card = Bundled.card("int8");
        JSONArray shape = new JSONArray().put(1).put(3).put(card.input.height / 2).put(card.input.width);
        JSONObject other = new JSONObject().put("shape", shape).put("layout", "NCHW").put("dtype", "float32")
            .put("colour", "RGB").put("mean", new JSONArray("[0, 0, 0]")).put("std", new JSONArray("[1, 1, 1]"));
        Failure failure = assertThrows(Failure.class, () -> {
            try (Runner runner = Runners.open(new File(Bundled.ASSETS, card.file), InputSpec.parse(other), 17, 1)) {
                runner.run(new float[34], new float[17]);
            }
        });
        assertTrue(failure.getMessage(), failure.getMessage().contains("not the tensor that its card describes"));
    }

    @Test public void damagedFilesAreRefused() throws Exception {
        for (byte[] bytes : new byte[][] {new byte[0], "ET12".getBytes(), Arrays.copyOf(bundled(), 4096)}) {
            refused(bytes, "it is damaged");
        }
        Card card = Bundled.card("int8");
        Failure failure = assertThrows(Failure.class, () -> {
            try (Runner runner = Runners.open(new File(Bundled.ASSETS, card.file), card.input, 18, 1)) {
                runner.run(new float[36], new float[18]);
            }
        });
        assertTrue(failure.getMessage(), failure.getMessage().contains("34 values, its card has 36"));
    }

    private static byte[] bundled() throws Exception {
        return Files.readAllBytes(new File(Bundled.ASSETS, Bundled.card("int8").file).toPath());
    }

    /** The bytes with every place of a text overwritten by one of the same length. */
    private static byte[] changed(byte[] bytes, String text, String other) {
        String all = new String(bytes, StandardCharsets.ISO_8859_1);
        assertTrue(text, all.contains(text));
        return all.replace(text, other).getBytes(StandardCharsets.ISO_8859_1);
    }

    /** Opening such a file, or its first run, fails in one line with those words. */
    private static void refused(byte[] bytes, String... words) throws Exception {
        Card card = Bundled.card("int8");
        File file = File.createTempFile("other", ".pte");
        Files.write(file.toPath(), bytes);
        Failure failure = assertThrows(Failure.class, () -> {
            try (Model model = Model.open("int8", file, Model.sha256(file), card.input, card.golden, 1)) {
                model.replay();
            }
        });
        String message = failure.getMessage();
        assertEquals("artefact", failure.kind);
        String start = "ExecuTorch " + Runners.version() + " refuses " + file.getName() + ": ";
        assertTrue(message, message.startsWith(start) && !message.contains("\n"));
        for (String word : words) assertTrue(message, message.contains(word));
    }
}
