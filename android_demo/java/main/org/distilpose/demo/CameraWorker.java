package org.distilpose.demo;

import android.content.Context;
import android.hardware.camera2.CameraManager;
import android.media.Image;
import android.os.Handler;
import android.os.HandlerThread;

/** The camera and the network on a thread of their own; every method returns at once. */
final class CameraWorker implements CameraFeed.Listener {
    /** Receives lines to show; called on the worker's thread. */
    interface Lines {
        void show(String line);
    }

    private final Context context;
    private final PoseView view;
    private final Lines problems;
    private final HandlerThread thread = new HandlerThread("camera");
    private final Handler handler;
    private final YuvFrame frame = new YuvFrame();
    private volatile Pipeline pipeline;
    private volatile int displayRotation;
    private volatile boolean smooth = true;
    private Artefacts artefacts;
    private Model model;
    private CameraFeed feed;

    CameraWorker(Context context, PoseView view, Lines problems) {
        this.context = context;
        this.view = view;
        this.problems = problems;
        thread.start();
        handler = new Handler(thread.getLooper());
    }

    /** Open the model of a precision, in the place of the one before. */
    void load(String precision, int threads) {
        handler.post(() -> {
            unload();
            try {
                if (artefacts == null) artefacts = new Artefacts(context);
                if (!artefacts.has(precision)) {
                    problems.show("There is no " + precision + " model in this app: export one, and build it again.");
                }
                Card card = artefacts.card(precision);
                model = artefacts.open(card, threads);
                Pipeline next = new Pipeline(model, card.skeleton, card.padding);
                next.smooth(smooth);
                pipeline = next;
            } catch (Failure failure) {
                problems.show(failure.getMessage());
            }
        });
    }

    /** Take the front or the back camera. */
    void open(boolean isFront) {
        handler.post(() -> {
            stopFeed();
            CameraManager manager = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
            feed = new CameraFeed(manager, isFront, handler, this);
            feed.open();
        });
    }

    /** Give the camera back; the model stays. */
    void pause() {
        handler.post(this::stopFeed);
    }

    /** Give everything back; the worker cannot be used again. */
    void stop() {
        handler.post(() -> {
            stopFeed();
            unload();
        });
        thread.quitSafely();
    }

    void smooth(boolean isOn) {
        smooth = isOn;
        Pipeline now = pipeline;
        if (now != null) now.smooth(isOn);
    }

    /** Degrees by which the display is turned: 0, 90, 180 or 270. */
    void displayRotation(int degrees) {
        displayRotation = degrees;
    }

    /** What is running now, for its averages; null if no model is open. */
    Pipeline pipeline() {
        return pipeline;
    }

    @Override public void onFrame(Image image, CameraFeed from) {
        Image.Plane[] planes = image.getPlanes();
        try {
            frame.copy(image.getWidth(), image.getHeight(), planes[0].getBuffer(), planes[0].getRowStride(),
                planes[1].getBuffer(), planes[2].getBuffer(), planes[1].getRowStride(), planes[1].getPixelStride());
        } catch (IllegalArgumentException error) {
            stopFeed();
            problems.show("The frames of this camera cannot be read (" + Failure.oneLine(error) + "): take the other one.");
            return;
        }
        onFrame(frame, from.rotation(displayRotation), image.getTimestamp(), from.isFront);
    }

    void onFrame(YuvFrame frame, int rotation, long nanos, boolean isFront) {
        Pipeline now = pipeline;
        if (now == null) return;
        try {
            Pose pose = now.process(frame, rotation, nanos);
            view.show(now.picture, now.skeleton, pose, isFront);
        } catch (Failure failure) {
            unload();
            problems.show(failure.getMessage());
        }
    }

    @Override public void onProblem(String line) {
        problems.show(line);
    }

    private void stopFeed() {
        if (feed != null) feed.close();
        feed = null;
    }

    private void unload() {
        pipeline = null;
        if (model != null) model.close();
        model = null;
    }
}
