package org.distilpose.demo;

/** An estimator by an opened model, which keeps how long its two parts took. */
final class ModelEstimator implements Estimator {
    /** Nanoseconds since the last reset: of cutting and normalising crops, and of the network. */
    long cropNanos;
    long modelNanos;
    private final Model model;
    private final CropRegion region;
    private final Cropper cropper;
    private final byte[] crop;

    ModelEstimator(Model model, double padding) {
        this.model = model;
        region = new CropRegion(model.input, padding);
        cropper = new Cropper(model.input);
        crop = new byte[model.input.cropBytes()];
    }

    @Override public int joints() {
        return model.scores.length;
    }

    @Override public void estimate(Picture picture, double[] box, Pose pose) throws Failure {
        long start = System.nanoTime();
        region.set(box);
        cropper.cut(picture.argb, picture.width, picture.height, region, crop);
        model.prepare(crop);
        long prepared = System.nanoTime();
        model.run();
        cropNanos += prepared - start;
        modelNanos += System.nanoTime() - prepared;
        region.toImage(model.coords, pose.points);
        System.arraycopy(model.scores, 0, pose.scores, 0, pose.scores.length);
    }

    void resetTimes() {
        cropNanos = 0;
        modelNanos = 0;
    }
}
