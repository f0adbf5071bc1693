package org.distilpose.demo;

import java.io.DataInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import org.json.JSONException;

/** The job `infer`: the answers to `crops`, .npy of uint8 [N, H, W, 3], as .npz of coords [N, K, 2] and scores [N, K]. */
final class JobAnswers {
    private static final double REPORT_SECONDS = 0.25;

    private final Events events;
    private final JobRunner runner;
    private final JobFolder folder;
    private final Job job;

    JobAnswers(Events events, JobRunner runner, JobFolder folder, Job job) {
        this.events = events;
        this.runner = runner;
        this.folder = folder;
        this.job = job;
    }

    void write(List<Model> models) throws Failure, JSONException {
        try (Model model = models.get(0)) {
            runner.replay(model);
            runner.sendRuntime();
            File crops = folder.resolve(job.crops);
            File answers = folder.resolve(job.answers);
            try (DataInputStream in = new DataInputStream(new java.io.BufferedInputStream(new FileInputStream(crops)))) {
                int count = Npy.readCrops(in, model.input, crops.length());
                write(answers, answer(model, in, count), count, model.scores.length);
                events.send(Events.of("result").put("done", count));
            } catch (IOException error) {
                String problem = crops.getName() + " holds no crops of " + model.name + "; send it again";
                throw new Failure("artefact", problem, error);
            }
        }
    }

    /** Coords and scores of all crops. */
    private float[][] answer(Model model, DataInputStream in, int count) throws Failure, IOException, JSONException {
        byte[] crop = new byte[model.input.cropBytes()];
        float[] coords = new float[count * model.coords.length];
        float[] scores = new float[count * model.scores.length];
        long sent = System.nanoTime();
        for (int nth = 0; nth < count; nth++) {
            runner.requireRunning();
            in.readFully(crop);
            model.prepare(crop);
            model.run();
            System.arraycopy(model.coords, 0, coords, nth * model.coords.length, model.coords.length);
            System.arraycopy(model.scores, 0, scores, nth * model.scores.length, model.scores.length);
            if ((System.nanoTime() - sent) / 1e9 >= REPORT_SECONDS) {
                sent = System.nanoTime();
                events.send(Events.of("progress").put("done", nth + 1));
            }
        }
        return new float[][] {coords, scores};
    }

    private static void write(File to, float[][] answers, int count, int joints) throws Failure {
        File part = new File(to.getPath() + ".part");
        try (OutputStream out = new FileOutputStream(part)) {
            Npy.writeAnswers(out, answers[0], answers[1], count, joints);
        } catch (IOException error) {
            part.delete();
            throw new Failure("memory", "cannot write " + to.getName() + " on the device; free some storage", error);
        }
        if (!part.renameTo(to)) throw new Failure("memory", "cannot write " + to.getName() + " on the device");
    }
}
