package org.distilpose.demo;

/**
 * Where a crop lies in an image: `affine` of pose/crop.py without rotation.
 *
 * A pixel's centre is at its integer index; crop pixel (i, j) is the image at (left + i * scale, top + j * scale).
 */
final class CropRegion {
    double left;
    double top;
    /** Image pixels per crop pixel. */
    double scale;
    private final InputSpec input;
    private final double padding;

    CropRegion(InputSpec input, double padding) {
        this.input = input;
        this.padding = padding;
    }

    /** The region of a box (x, y, width, height) in image pixels, grown to the crop's aspect ratio and by the padding. */
    void set(double[] box) {
        scale = padding * Math.max(box[2] / input.width, box[3] / input.height);
        left = box[0] + box[2] / 2 - input.width / 2.0 * scale;
        top = box[1] + box[3] / 2 - input.height / 2.0 * scale;
    }

    /** Coordinates x, y, ... in 0..1 of the crop as pixels of the image. */
    void toImage(float[] coords, double[] points) {
        for (int i = 0; i < points.length; i += 2) {
            points[i] = left + coords[i] * (double) input.width * scale;
            points[i + 1] = top + coords[i + 1] * (double) input.height * scale;
        }
    }
}
