package org.distilpose.demo;

import java.util.ArrayList;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** Runs a job of the host and reports as edge/agent.py does; the golden crop comes first: no wrong model is timed. */
final class JobRunner {
    /** Whether somebody has ended the job: a reason, or null. */
    interface Stop {
        String reason();
    }

    private final JobFolder folder;
    private final Events events;
    private final boolean isEmulated;
    private final Stop stop;
    private final long started = System.nanoTime();
    private double ownSeconds;

    JobRunner(JobFolder folder, Events events, boolean isEmulated, Stop stop) {
        this.folder = folder;
        this.events = events;
        this.isEmulated = isEmulated;
        this.stop = stop;
    }

    /** Run the job of that text; a failure is an event. Whether it went well. */
    boolean run(String text) {
        try {
            Job job = Job.parse(text);
            ownSeconds = (System.nanoTime() - started) / 1e9;
            switch (job.kind) {
                case "load":
                    load(job);
                    break;
                case "time":
                    new JobTimer(events, this, job).measure(open(job));
                    break;
                case "infer":
                    new JobAnswers(events, this, folder, job).write(open(job));
                    break;
                default:
                    throw new Failure("agent", "no job is called " + job.kind);
            }
            return true;
        } catch (Failure failure) {
            report(failure.kind, failure.getMessage());
        } catch (OutOfMemoryError error) {
            report("memory", "out of memory on the device");
        } catch (JSONException | RuntimeException | LinkageError error) {
            report("agent", error.getClass().getSimpleName() + ": " + Failure.oneLine(error));
        }
        return false;
    }

    /** Report the end of a job that failed. */
    void report(String kind, String message) {
        try {
            events.send(Events.of("error").put("kind", kind).put("message", message));
        } catch (Failure | JSONException error) {
            // the host sees that no result came
        }
    }

    /**
     * Go on?
     *
     * @throws Failure somebody has ended the job
     */
    void requireRunning() throws Failure {
        String reason = stop.reason();
        if (reason != null) throw new Failure("agent", reason);
    }

    /** Load time, first inference and memory of one artefact alone in a process. */
    private void load(Job job) throws Failure, JSONException {
        Runners.version(); // loads the library
        double before = ProcessFacts.peakMb();
        long start = System.nanoTime();
        try (Model model = open(job, job.artefacts.get(0))) {
            double loaded = (System.nanoTime() - start) / 1e6;
            double first = replay(model);
            sendRuntime();
            events.send(Events.of("result").put("load_ms", loaded).put("first_ms", first)
                .put("runtime_memory_mb", before).put("peak_memory_mb", ProcessFacts.peakMb()));
        }
    }

    private List<Model> open(Job job) throws Failure {
        List<Model> models = new ArrayList<>();
        try {
            for (Job.Artefact artefact : job.artefacts) models.add(open(job, artefact));
        } catch (Failure failure) {
            for (Model model : models) model.close();
            throw failure;
        }
        return models;
    }

    private Model open(Job job, Job.Artefact artefact) throws Failure {
        return Model.open(artefact.name, folder.resolve(artefact.path), artefact.sha256, artefact.input, artefact.golden,
            job.threads);
    }

    /** Milliseconds of one inference of the golden crop, once its answer is close enough to the card's. */
    double replay(Model model) throws Failure, JSONException {
        double elapsed = model.replay();
        events.send(Events.of("golden").put("artefact", model.name).put("max_px", model.golden.maxPx)
            .put("max_score", model.golden.maxScore).put("accelerator", model.accelerator()));
        return elapsed;
    }

    void sendRuntime() throws Failure, JSONException {
        JSONObject versions = new JSONObject().put(Runners.TARGET, Runners.version());
        events.send(Events.of("runtime").put("versions", versions).put("emulated", isEmulated).put("own_s", ownSeconds));
    }

    /** Milliseconds with four digits after the point. */
    static JSONArray rounded(List<Double> milliseconds) throws JSONException {
        JSONArray array = new JSONArray();
        for (double one : milliseconds) array.put(Math.round(one * 1e4) / 1e4);
        return array;
    }
}
