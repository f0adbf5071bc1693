package org.distilpose.demo;

import android.app.Activity;
import android.content.Intent;
import android.os.Build;
import android.os.Bundle;
import android.util.Log;
import android.view.Gravity;
import android.view.WindowManager;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;

/**
 * Runs one job of the host: `am start -n org.distilpose.demo/.JobActivity --es job NAME`.
 *
 * NAME.json is read from the folder `jobs` of the app's external files, which adb may write to; NAME.events is written
 * beside it. It stays on the screen while it runs: in the background Android gives an app slow cores, and may end it.
 */
public final class JobActivity extends Activity {
    private static final String TAG = "distilpose";

    private volatile String stopReason;
    private Thread thread;

    @Override protected void onCreate(Bundle state) {
        super.onCreate(state);
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        TextView text = new TextView(this);
        text.setText(R.string.job);
        text.setGravity(Gravity.CENTER);
        setContentView(text);
        start(getIntent());
    }

    @Override protected void onNewIntent(Intent intent) {
        super.onNewIntent(intent);
        start(intent);
    }

    @Override protected void onStop() {
        stopReason = "the app left the screen while it measured: leave the phone alone, unlocked, and run it again";
        super.onStop();
    }

    @Override protected void onStart() {
        super.onStart();
        if (thread == null || !thread.isAlive()) stopReason = null;
    }

    private void start(Intent intent) {
        if (thread != null && thread.isAlive()) {
            Log.e(TAG, "a job runs already");
            return;
        }
        String name = intent.getStringExtra("job");
        File root = getExternalFilesDir(null);
        if (root == null) {
            Log.e(TAG, "this phone has no shared storage at the moment");
            return;
        }
        JobFolder folder = new JobFolder(new File(root, "jobs"));
        if (!folder.folder.isDirectory() && !folder.folder.mkdirs()) Log.e(TAG, "the storage is full");
        if (name == null) { // the host only wants the folder
            finishAndRemoveTask();
            return;
        }
        thread = new Thread(() -> run(folder, name), "job");
        thread.start();
    }

    private void run(JobFolder folder, String name) {
        try (FileOutputStream out = new FileOutputStream(folder.events(name))) {
            JobRunner runner = new JobRunner(folder, new Events(out), isEmulated(), () -> stopReason);
            try {
                runner.run(folder.read(name));
            } catch (Failure failure) {
                runner.report(failure.kind, failure.getMessage());
            }
        } catch (Failure | IOException error) {
            Log.e(TAG, Failure.oneLine(error));
        }
        runOnUiThread(this::finishAndRemoveTask);
    }

    /** Android's own emulator: its times say nothing about a phone. */
    private static boolean isEmulated() {
        return Build.HARDWARE.contains("ranchu") || Build.HARDWARE.contains("goldfish");
    }

    /** Wait for the job, in tests. */
    void join() throws InterruptedException {
        if (thread != null) thread.join();
    }
}
