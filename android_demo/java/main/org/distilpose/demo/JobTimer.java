package org.distilpose.demo;

import java.util.ArrayList;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The job `time`: all artefacts in turns, at least `runs` counted inferences and `seconds` of each. */
final class JobTimer {
    private static final int BLOCK = 10; // inferences before the next one's turn; one more before them is not counted
    private static final int WARM_UP = 10;
    private static final double WARM_UP_SECONDS = 3;
    private static final int STAGE_RUNS = 50;
    private static final double STAGE_SECONDS = 3;
    private static final double REPORT_SECONDS = 0.25;
    private static final double CLOCK_SECONDS = 1;

    private final Events events;
    private final JobRunner runner;
    private final Job job;

    JobTimer(Events events, JobRunner runner, Job job) {
        this.events = events;
        this.runner = runner;
        this.job = job;
    }

    void measure(List<Model> models) throws Failure, JSONException {
        try {
            for (Model model : models) {
                runner.replay(model);
                warmUp(model);
            }
            runner.sendRuntime();
            int[] done = take(models);
            for (Model model : models) {
                events.send(Events.of("stages").put("artefact", model.name).put("ms", stages(model)));
            }
            events.send(Events.of("result").put("runs", new JSONArray(done)));
        } finally {
            for (Model model : models) model.close();
        }
    }

    private int[] take(List<Model> models) throws Failure, JSONException {
        int block = Math.max(1, Math.min(BLOCK, job.runs));
        int[] done = new int[models.size()];
        List<List<Double>> unsent = new ArrayList<>();
        for (Model model : models) unsent.add(new ArrayList<>());
        long start = System.nanoTime();
        double sent = 0;
        double clocked = 0;
        boolean isRunning = true;
        while (isRunning) {
            runner.requireRunning();
            for (int i = 0; i < models.size(); i++) {
                time(models.get(i), block, unsent.get(i));
                done[i] += block;
            }
            double now = (System.nanoTime() - start) / 1e9;
            isRunning = done[done.length - 1] < job.runs || now < job.seconds * models.size();
            if (!isRunning || now - sent >= REPORT_SECONDS) {
                for (int i = 0; i < models.size(); i++) {
                    events.send(Events.of("times").put("artefact", models.get(i).name).put("s", now)
                        .put("ms", JobRunner.rounded(unsent.get(i))));
                    unsent.get(i).clear();
                }
                sent = now;
            }
            if (!isRunning || now - clocked >= CLOCK_SECONDS) {
                List<Double> clocks = ProcessFacts.clocksMhz();
                if (!clocks.isEmpty()) events.send(Events.of("clock").put("s", now).put("mhz", new JSONArray(clocks)));
                clocked = now;
            }
        }
        return done;
    }

    private static void time(Model model, int block, List<Double> times) throws Failure {
        model.run(); // with cold caches: not counted
        for (int nth = 0; nth < block; nth++) {
            long begin = System.nanoTime();
            model.run();
            times.add(Math.max(1e-4, (System.nanoTime() - begin) / 1e6));
        }
    }

    private static void warmUp(Model model) throws Failure {
        long end = System.nanoTime() + (long) (WARM_UP_SECONDS * 1e9);
        for (int nth = 0; nth < WARM_UP && (nth == 0 || System.nanoTime() < end); nth++) model.run();
    }

    /** Stage -> milliseconds of each run, from a crop's bytes to keypoints in an invented picture. */
    private JSONObject stages(Model model) throws Failure, JSONException {
        List<Double> preparing = new ArrayList<>();
        List<Double> running = new ArrayList<>();
        List<Double> decoding = new ArrayList<>();
        CropRegion region = new CropRegion(model.input, 1.25);
        region.set(new double[] {10, 20, model.input.width, model.input.height});
        double[] points = new double[model.coords.length];
        long end = System.nanoTime() + (long) (STAGE_SECONDS * 1e9);
        for (int nth = 0; nth < Math.min(STAGE_RUNS, job.runs) && (nth == 0 || System.nanoTime() < end); nth++) {
            long start = System.nanoTime();
            model.prepare(model.golden.crop);
            long prepared = System.nanoTime();
            model.run();
            long answered = System.nanoTime();
            region.toImage(model.coords, points);
            preparing.add((prepared - start) / 1e6);
            running.add((answered - prepared) / 1e6);
            decoding.add((System.nanoTime() - answered) / 1e6);
        }
        return new JSONObject().put("preprocess", JobRunner.rounded(preparing)).put("model", JobRunner.rounded(running))
            .put("decode", JobRunner.rounded(decoding));
    }
}
