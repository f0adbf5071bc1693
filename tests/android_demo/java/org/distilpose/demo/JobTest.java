package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.nio.file.Files;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

/** Jobs as Python writes them, in work/jobs; the events that they leave there are checked by Python. */
public class JobTest {
    private static final File JOBS = new File(Vectors.WORK, "jobs");

    @Test public void jobsOfTheHostRun() throws Exception {
        for (String name : new String[] {"load", "time", "infer-int8", "infer-fp32"}) {
            JobFolder folder = new JobFolder(JOBS);
            try (FileOutputStream out = new FileOutputStream(folder.events(name))) {
                assertTrue(name, new JobRunner(folder, new Events(out), true, () -> null).run(folder.read(name)));
            }
        }
    }

    @Test public void jobsThatCannotBeDoneSayWhy() throws Exception {
        assertEquals("agent", error("", "not understood"));
        assertEquals("agent", error("{\"job\": \"load\"}", "not understood"));
        assertEquals("affinity", error(job().put("affinity", new JSONArray("[1]")).toString(), "--affinity"));
        assertEquals("agent", error(job().put("job", "format").toString(), "no job is called format"));
        assertEquals("agent", error(job().put("threads", 0).toString(), "threads"));
        assertEquals("agent", error(job().put("seconds", "Infinity").toString(), "cannot be"));
        JSONObject other = job();
        artefact(other).put("runtime", "onnx");
        assertEquals("runtime", error(other.toString(), "--runtime onnx"));
        JSONObject damaged = job();
        artefact(damaged).put("sha256", "0");
        assertEquals("artefact", error(damaged.toString(), "sha256 differs"));
        JSONObject wrong = job();
        JSONArray coords = artefact(wrong).getJSONObject("golden").getJSONArray("coords");
        for (int i = 0; i < coords.length(); i++) coords.put(i, new JSONArray("[0.5, 0.5]"));
        assertEquals("golden", error(wrong.toString(), "a wrong model is not used"));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        String timing = new JobFolder(JOBS).read("time");
        new JobRunner(new JobFolder(JOBS), new Events(out), true, () -> "the app left the screen").run(timing);
        assertTrue(out.toString("UTF-8"), out.toString("UTF-8").contains("the app left the screen"));
    }

    @Test public void aJobOpensNothingOutsideTheAppsFolder() throws Exception {
        JobFolder folder = new JobFolder(JOBS);
        File outside = File.createTempFile("secret", ".tflite");
        File link = new File(JOBS, "link");
        Files.deleteIfExists(link.toPath());
        Files.createSymbolicLink(link.toPath(), outside.toPath());
        String beside = "../" + JOBS.getName() + "x";
        for (String path : new String[] {outside.getPath(), beside, "..", ".", "", "link", "a/../../x"}) {
            Failure failure = assertThrows(path, Failure.class, () -> folder.resolve(path));
            assertTrue(failure.getMessage(), failure.getMessage().contains("not in the app's own folder"));
        }
        for (String name : new String[] {null, "", "../x", "a/b", "a.json", "x y"}) {
            assertThrows(Failure.class, () -> folder.events(name));
        }
        assertThrows(Failure.class, () -> folder.read("nothing"));
        JSONObject job = job();
        artefact(job).put("path", outside.getPath());
        error(job.toString(), "not in the app's own folder");
    }

    private static JSONObject job() throws Exception {
        return new JSONObject(new JobFolder(JOBS).read("load"));
    }

    private static JSONObject artefact(JSONObject job) throws Exception {
        return job.getJSONArray("artefacts").getJSONObject(0);
    }

    /** Kind of the one event, which is an error with that reason. */
    private static String error(String text, String reason) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        assertTrue(!new JobRunner(new JobFolder(JOBS), new Events(out), true, () -> null).run(text));
        String line = out.toString("UTF-8");
        assertTrue(line, line.startsWith("@dpe ") && line.indexOf('\n') == line.length() - 1);
        JSONObject event = new JSONObject(line.substring(5));
        assertEquals("error", event.getString("event"));
        assertTrue(line, event.getString("message").contains(reason));
        return event.getString("kind");
    }
}
