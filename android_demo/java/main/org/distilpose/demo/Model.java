package org.distilpose.demo;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** An artefact that is the file its card describes, opened. One inference: `prepare` a crop, then `run`. */
final class Model implements AutoCloseable {
    final String name;
    final InputSpec input;
    final Golden golden;
    /** The last answer: x, y of each joint in 0..1 of the crop, and scores. */
    final float[] coords;
    final float[] scores;
    private final Runner runner;
    private final InputTensor tensor;

    private Model(String name, InputSpec input, Golden golden, Runner runner) {
        this.name = name;
        this.input = input;
        this.golden = golden;
        this.runner = runner;
        coords = new float[golden.coords.length];
        scores = new float[golden.scores.length];
        tensor = new InputTensor(input, runner.input());
    }

    /**
     * Open an artefact.
     *
     * @param name for messages
     * @throws Failure it is missing, not the file of that sha256, or the runtime refuses it
     */
    static Model open(String name, File file, String sha256, InputSpec input, Golden golden, int threads) throws Failure {
        String digest = sha256(file);
        if (!digest.equals(sha256)) {
            throw new Failure("artefact", file + " is not the file of its card (sha256 differs); export or send it again");
        }
        return new Model(name, input, golden, Runners.open(file, input, golden.scores.length, threads));
    }

    /** Write a crop uint8 RGB [height, width, 3] into the input tensor. */
    void prepare(byte[] crop) {
        tensor.write(crop);
    }

    /** Run the network on what was prepared; the answer is in `coords` and `scores`. */
    void run() throws Failure {
        runner.run(coords, scores);
    }

    /**
     * Answer the golden crop; its tensor stays prepared.
     *
     * @return milliseconds of the inference
     * @throws Failure the answer is not that of the card
     */
    double replay() throws Failure {
        prepare(golden.crop);
        long start = System.nanoTime();
        run();
        double elapsed = (System.nanoTime() - start) / 1e6;
        golden.compare(name, coords, scores, input);
        return elapsed;
    }

    String accelerator() {
        return runner.accelerator();
    }

    @Override public void close() {
        runner.close();
    }

    /**
     * sha256 of a file, in lower-case hexadecimal.
     *
     * @throws Failure it cannot be read
     */
    static String sha256(File file) throws Failure {
        try (FileInputStream in = new FileInputStream(file)) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            byte[] block = new byte[1 << 16];
            for (int count; (count = in.read(block)) > 0; ) digest.update(block, 0, count);
            StringBuilder text = new StringBuilder();
            for (byte one : digest.digest()) text.append(String.format("%02x", one));
            return text.toString();
        } catch (IOException error) {
            throw new Failure("artefact", "cannot read " + file + "; export or send it again", error);
        } catch (NoSuchAlgorithmException error) {
            throw new AssertionError(error);
        }
    }
}
