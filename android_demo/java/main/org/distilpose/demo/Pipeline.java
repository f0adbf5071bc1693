package org.distilpose.demo;

/** From a frame of the camera to the keypoints of one person. One thread calls it; nothing is allocated a frame. */
final class Pipeline {
    private static final double SHARE = 0.1; // of a new value in the averages that are shown

    final Skeleton skeleton;
    final Picture picture = new Picture();
    /** Averages of the last frames, which other threads may read; the first frame has no rate, and fps is 0. */
    volatile double fps;
    volatile double preprocessingMs;
    volatile double modelMs;
    private final Tracker tracker;
    private final ModelEstimator estimator;
    private long lastNanos;

    Pipeline(Model model, Skeleton skeleton, double padding) {
        this.skeleton = skeleton;
        estimator = new ModelEstimator(model, padding);
        tracker = new Tracker(estimator);
    }

    void smooth(boolean isOn) {
        tracker.smooth = isOn;
    }

    /**
     * Process a frame; its upright picture is then in `picture`.
     *
     * @param rotation degrees by which it is turned clockwise to stand upright
     * @param nanos when it was taken
     * @return the person, or null; written again by the next call
     * @throws Failure the runtime failed
     */
    Pose process(YuvFrame frame, int rotation, long nanos) throws Failure {
        long start = System.nanoTime();
        frame.toPicture(rotation, picture);
        long converted = System.nanoTime() - start;
        double rate = lastNanos == 0 ? 30 : Math.max(1, Math.min(1e9 / Math.max(1, nanos - lastNanos), 240));
        boolean isFirst = lastNanos == 0;
        lastNanos = nanos;
        estimator.resetTimes();
        boolean isSeen = tracker.update(picture, rate);
        fps = isFirst ? 0 : average(fps, rate, fps == 0);
        preprocessingMs = average(preprocessingMs, (converted + estimator.cropNanos) / 1e6, isFirst);
        modelMs = average(modelMs, estimator.modelNanos / 1e6, isFirst);
        return isSeen ? tracker.pose : null;
    }

    private static double average(double last, double value, boolean isFirst) {
        return isFirst ? value : last + SHARE * (value - last);
    }
}
