package org.distilpose.demo;

import android.Manifest;
import android.app.Activity;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.hardware.display.DisplayManager;
import android.net.Uri;
import android.os.Bundle;
import android.os.Handler;
import android.os.Looper;
import android.provider.Settings;
import android.view.View;
import android.widget.Button;
import android.widget.CompoundButton;
import android.widget.TextView;

/** The screen of the demo: the camera with the skeleton on it, the switches, and what was measured. */
public final class MainActivity extends Activity implements DisplayManager.DisplayListener {
    private static final int REQUEST = 1;
    private static final int REFRESH_MS = 500;
    private static final int[] THREADS = {1, 2, 4};

    private final Handler main = new Handler(Looper.getMainLooper());
    private final Runnable refresh = this::showFigures;
    private CameraWorker worker;
    private TextView status;
    private TextView problem;
    private Button settings;
    private String precision = "int8";
    private int threads = THREADS[0];
    private boolean isFront;

    @Override protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        status = findViewById(R.id.status);
        problem = findViewById(R.id.problem);
        settings = findViewById(R.id.settings);
        if (state != null) {
            precision = state.getString("precision", precision);
            threads = state.getInt("threads", threads);
            isFront = state.getBoolean("isFront");
        }
        PoseView view = findViewById(R.id.pose);
        worker = new CameraWorker(getApplicationContext(), view, line -> main.post(() -> showProblem(line)));
        connectSwitches();
        worker.load(precision, threads);
        getSystemService(DisplayManager.class).registerDisplayListener(this, main);
        onDisplayChanged(0);
        if (!isAllowed()) requestPermissions(new String[] {Manifest.permission.CAMERA}, REQUEST);
    }

    @Override protected void onResume() {
        super.onResume();
        if (isAllowed()) openCamera();
        main.post(refresh);
    }

    @Override protected void onPause() {
        worker.pause(); // another app may want the camera
        main.removeCallbacks(refresh);
        super.onPause();
    }

    @Override protected void onDestroy() {
        getSystemService(DisplayManager.class).unregisterDisplayListener(this);
        worker.stop();
        super.onDestroy();
    }

    @Override protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putString("precision", precision);
        state.putInt("threads", threads);
        state.putBoolean("isFront", isFront);
    }

    @Override public void onRequestPermissionsResult(int request, String[] permissions, int[] grants) {
        if (request != REQUEST) return;
        if (isAllowed()) {
            openCamera();
            return;
        }
        // An empty answer: the question was interrupted. Without a rationale the system asks no more: only settings help.
        boolean isFinal = grants.length > 0 && !shouldShowRequestPermissionRationale(Manifest.permission.CAMERA);
        showProblem(getString(R.string.camera_denied));
        settings.setVisibility(View.VISIBLE);
        settings.setText(isFinal ? R.string.settings : R.string.allow);
        settings.setOnClickListener(view -> {
            if (isFinal) {
                Uri app = Uri.fromParts("package", getPackageName(), null);
                startActivity(new Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app));
            } else {
                requestPermissions(new String[] {Manifest.permission.CAMERA}, REQUEST);
            }
        });
    }

    @Override public void onDisplayChanged(int id) {
        worker.displayRotation(90 * getWindowManager().getDefaultDisplay().getRotation());
    }

    @Override public void onDisplayAdded(int id) {}

    @Override public void onDisplayRemoved(int id) {}

    CameraWorker worker() {
        return worker;
    }

    private boolean isAllowed() {
        return checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED;
    }

    private void openCamera() {
        settings.setVisibility(View.GONE);
        problem.setVisibility(View.GONE);
        worker.open(isFront);
    }

    private void connectSwitches() {
        CompoundButton isFloat = findViewById(R.id.is_float);
        isFloat.setChecked(precision.equals("fp32"));
        isFloat.setOnCheckedChangeListener((button, isOn) -> {
            precision = isOn ? "fp32" : "int8";
            worker.load(precision, threads);
        });
        CompoundButton smooth = findViewById(R.id.smooth);
        smooth.setOnCheckedChangeListener((button, isOn) -> worker.smooth(isOn));
        findViewById(R.id.camera).setOnClickListener(view -> {
            isFront = !isFront;
            if (isAllowed()) openCamera();
        });
        Button count = findViewById(R.id.threads);
        count.setText(getString(R.string.threads, threads));
        count.setOnClickListener(view -> {
            threads = threads == THREADS[0] ? THREADS[1] : threads == THREADS[1] ? THREADS[2] : THREADS[0];
            count.setText(getString(R.string.threads, threads));
            worker.load(precision, threads);
        });
    }

    private void showProblem(String line) {
        problem.setText(line);
        problem.setVisibility(View.VISIBLE);
    }

    private void showFigures() {
        Pipeline pipeline = worker.pipeline();
        boolean isRunning = pipeline != null && pipeline.fps > 0;
        status.setText(!isRunning ? getString(R.string.loading)
            : getString(R.string.figures, pipeline.fps, pipeline.preprocessingMs, pipeline.modelMs));
        main.postDelayed(refresh, REFRESH_MS);
    }
}
