package org.distilpose.demo;

/** The keypoints of one person, in pixels of the picture; its arrays are written again for every frame. */
final class Pose {
    /** x, y of each joint; the centre of a pixel is at its integer index. */
    final double[] points;
    /** Confidence of each joint, about 0..1. */
    final float[] scores;

    Pose(int joints) {
        points = new double[2 * joints];
        scores = new float[joints];
    }

    /** The mean of the joints' scores; 0 where a value is NaN or infinite. */
    double score() {
        double sum = 0;
        for (int i = 0; i < scores.length; i++) {
            boolean isPlace = Double.isFinite(points[2 * i]) && Double.isFinite(points[2 * i + 1]);
            if (!isPlace || !Float.isFinite(scores[i])) return 0;
            sum += scores[i];
        }
        return sum / scores.length;
    }

    void set(Pose other) {
        System.arraycopy(other.points, 0, points, 0, points.length);
        System.arraycopy(other.scores, 0, scores, 0, scores.length);
    }
}
