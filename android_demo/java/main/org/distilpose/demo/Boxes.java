package org.distilpose.demo;

/** Boxes (x, y, width, height) in pixels, as edge/predict/tracking.py makes them. */
final class Boxes {
    private static final double GROWTH = 1.2;
    private static final double BOX_SCORE = 0.03;

    private Boxes() {}

    /** Write the box about the joints that are not out of sight, the three surest at least. */
    static void body(Pose pose, double[] box) {
        double least = Math.min(BOX_SCORE, thirdHighest(pose.scores));
        double left = Double.POSITIVE_INFINITY;
        double top = left;
        double right = -left;
        double bottom = -left;
        for (int i = 0; i < pose.scores.length; i++) {
            if (pose.scores[i] < least) continue;
            left = Math.min(left, pose.points[2 * i]);
            right = Math.max(right, pose.points[2 * i]);
            top = Math.min(top, pose.points[2 * i + 1]);
            bottom = Math.max(bottom, pose.points[2 * i + 1]);
        }
        box[2] = Math.max((right - left) * GROWTH, 2);
        box[3] = Math.max((bottom - top) * GROWTH, 2);
        box[0] = (left + right - box[2]) / 2;
        box[1] = (top + bottom - box[3]) / 2;
    }

    /** Overlapping squares in which a person smaller than the picture is looked for: half, then a third of its side. */
    static double[][] tiles(int width, int height) {
        double[][] squares = new double[0][];
        for (double share : new double[] {1.0, 0.6}) {
            double side = share * Math.min(width, height);
            int columns = count(width, side);
            int rows = count(height, side);
            double[][] all = new double[squares.length + rows * columns][];
            System.arraycopy(squares, 0, all, 0, squares.length);
            for (int i = 0; i < rows * columns; i++) {
                double x = place(i % columns, columns, width - side);
                double y = place(i / columns, rows, height - side);
                all[squares.length + i] = new double[] {x, y, side, side};
            }
            squares = all;
        }
        return squares;
    }

    /** Intersection over union. */
    static double overlap(double[] a, double[] b) {
        double width = Math.max(0, Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]));
        double height = Math.max(0, Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]));
        double shared = width * height;
        return shared / Math.max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9);
    }

    private static int count(int length, double side) {
        return length > side * 1.05 ? (int) Math.max(1, Math.rint(1.5 * length / side)) : 1;
    }

    private static double place(int number, int count, double last) {
        return count == 1 ? 0 : number * (last / (count - 1));
    }

    private static double thirdHighest(float[] scores) {
        float first = Float.NEGATIVE_INFINITY;
        float second = first;
        float third = first;
        for (float score : scores) {
            if (score > first) {
                third = second;
                second = first;
                first = score;
            } else if (score > second) {
                third = second;
                second = score;
            } else if (score > third) {
                third = score;
            }
        }
        return scores.length > 2 ? third : scores.length == 2 ? second : first;
    }
}
