package org.distilpose.demo;

import java.util.ArrayList;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** A job of the host, as `Job` of edge/agent.py; paths are relative to the app's own folder. */
final class Job {
    /** An artefact of a job. */
    static final class Artefact {
        final String name;
        final String path;
        final String sha256;
        final InputSpec input;
        final Golden golden;

        private Artefact(JSONObject json) throws JSONException, Failure {
            name = json.getString("name");
            path = json.getString("path");
            sha256 = json.getString("sha256");
            String runtime = json.getString("runtime");
            if (!runtime.equals(Runners.TARGET)) {
                throw new Failure("runtime", "this app runs " + Runners.TARGET + ", and " + path + " is for " + runtime
                    + ": build and install the app with --runtime " + runtime);
            }
            input = InputSpec.parse(json);
            golden = Golden.ofJob(json.getJSONObject("golden"), input);
        }
    }

    private static final int MOST_THREADS = 256;
    private static final int MOST_RUNS = 5_000_000;

    final String kind;
    final List<Artefact> artefacts = new ArrayList<>();
    final int threads;
    /** At least so many inferences and seconds of each artefact; of the job `time`. */
    final int runs;
    final double seconds;
    /** Of the job `infer`. */
    final String crops;
    final String answers;

    private Job(JSONObject json) throws JSONException, Failure {
        kind = json.getString("job");
        threads = json.getInt("threads");
        runs = json.optInt("runs", 1);
        seconds = json.optDouble("seconds", 0);
        crops = json.optString("crops");
        answers = json.optString("answers");
        if (json.getJSONArray("affinity").length() > 0) {
            throw new Failure("affinity", "Android lets no app choose its cores; leave --affinity out");
        }
        JSONArray list = json.getJSONArray("artefacts");
        for (int i = 0; i < list.length(); i++) artefacts.add(new Artefact(list.getJSONObject(i)));
        if (threads < 1 || threads > MOST_THREADS || runs < 1 || runs > MOST_RUNS || !(seconds >= 0 && seconds <= 1e6)
                || artefacts.isEmpty()) {
            throw new Failure("agent", "the job has threads, runs, seconds or artefacts that cannot be");
        }
    }

    /**
     * Parse a job.
     *
     * @throws Failure it is no job, or one that this app cannot do
     */
    static Job parse(String text) throws Failure {
        try {
            return new Job(new JSONObject(text));
        } catch (JSONException error) {
            throw new Failure("agent", "the job is not understood; install the app of the same version as the host", error);
        }
    }
}
