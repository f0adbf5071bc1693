package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.content.Intent;
import android.content.pm.ActivityInfo;
import android.content.pm.PackageManager;
import android.content.ComponentName;
import java.io.File;
import java.nio.file.Files;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;

/** The way in for adb: an intent with the name of a job. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34)
public class JobActivityTest {
    @Test public void aJobLeavesItsEventsBesideIt() throws Exception {
        File folder = folder();
        JSONObject job = load(folder);
        Files.write(new File(folder, "load.json").toPath(), job.toString().getBytes("UTF-8"));
        assertTrue(events(folder, "load").contains("\"event\":\"result\""));
        assertTrue(events(folder, "missing").contains("send it again"));
        job.getJSONArray("artefacts").getJSONObject(0).put("path", "/etc/hosts");
        Files.write(new File(folder, "outside.json").toPath(), job.toString().getBytes("UTF-8"));
        assertTrue(events(folder, "outside").contains("not in the app's own folder"));
    }

    @Test public void aJobEndsWhenTheAppLeavesTheScreen() throws Exception {
        File folder = folder();
        JSONObject job = load(folder).put("job", "time").put("runs", 1000000).put("seconds", 1000);
        Files.write(new File(folder, "long.json").toPath(), job.toString().getBytes("UTF-8"));
        Intent intent = new Intent().putExtra("job", "long");
        try (ActivityController<JobActivity> controller = Robolectric.buildActivity(JobActivity.class, intent)) {
            JobActivity activity = controller.setup().get();
            controller.pause().stop();
            activity.join();
        }
        String events = Vectors.text(new File(folder, "long.events"));
        assertTrue(events, events.contains("the app left the screen while it measured"));
    }

    @Test public void withoutAJobTheFolderIsMade() throws Exception {
        try (ActivityController<JobActivity> controller = Robolectric.buildActivity(JobActivity.class, new Intent())) {
            assertTrue(controller.setup().get().isFinishing());
        }
        File root = RuntimeEnvironment.getApplication().getExternalFilesDir(null);
        assertTrue(new File(root, "jobs").isDirectory());
    }

    @Test public void onlyAdbsShellMayStartJobs() throws Exception {
        PackageManager packages = RuntimeEnvironment.getApplication().getPackageManager();
        ComponentName name = new ComponentName(RuntimeEnvironment.getApplication(), JobActivity.class);
        ActivityInfo info = packages.getActivityInfo(name, 0);
        assertEquals("android.permission.DUMP", info.permission);
    }

    private static File folder() {
        File folder = new File(RuntimeEnvironment.getApplication().getExternalFilesDir(null), "jobs");
        assertTrue(folder.mkdirs() || folder.isDirectory());
        return folder;
    }

    /** The job `load`, whose artefact is copied into the app's folder. */
    private static JSONObject load(File folder) throws Exception {
        JSONObject job = new JSONObject(new JobFolder(new File(Vectors.WORK, "jobs")).read("load"));
        String path = job.getJSONArray("artefacts").getJSONObject(0).getString("path");
        File copy = new File(folder, path);
        assertTrue(copy.getParentFile().mkdirs() || copy.getParentFile().isDirectory());
        Files.copy(new File(Vectors.WORK, "jobs/" + path).toPath(), copy.toPath());
        return job;
    }

    private static String events(File folder, String name) throws Exception {
        Intent intent = new Intent().putExtra("job", name);
        try (ActivityController<JobActivity> controller = Robolectric.buildActivity(JobActivity.class, intent)) {
            controller.setup().get().join();
            return Vectors.text(new File(folder, name + ".events"));
        }
    }
}
