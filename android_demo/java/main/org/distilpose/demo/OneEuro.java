package org.distilpose.demo;

/** The One Euro filter (Casiez, Roussel and Vogel, CHI 2012) of edge/predict/one_euro.py, for one person. */
final class OneEuro {
    private static final double CUTOFF = 0.4; // Hz, of what does not move
    private static final double SPEED = 17.0; // Hz of cutoff for each body size a second
    private static final double SPEED_CUTOFF = 1.0; // Hz, of the speed itself

    private final double[] last;
    private final double[] raw;
    private final double[] speed;
    private boolean isFirst = true;

    OneEuro(int joints) {
        last = new double[2 * joints];
        raw = new double[2 * joints];
        speed = new double[2 * joints];
    }

    /** Forget the person. */
    void reset() {
        isFirst = true;
    }

    /**
     * Filter the points of the next frame, in place.
     *
     * @param size of the person in the same unit, by which speeds are measured; above 0
     * @param fps frames a second, since the last frame
     */
    void filter(double[] points, double size, double fps) {
        if (isFirst) {
            System.arraycopy(points, 0, last, 0, last.length);
            System.arraycopy(points, 0, raw, 0, raw.length);
            java.util.Arrays.fill(speed, 0);
            isFirst = false;
            return;
        }
        double speedShare = share(SPEED_CUTOFF, fps);
        for (int i = 0; i < points.length; i += 2) {
            for (int axis = i; axis < i + 2; axis++) {
                double change = (points[axis] - raw[axis]) * fps / size;
                raw[axis] = points[axis];
                speed[axis] += speedShare * (change - speed[axis]);
            }
            double share = share(CUTOFF + SPEED * Math.hypot(speed[i], speed[i + 1]), fps);
            for (int axis = i; axis < i + 2; axis++) {
                last[axis] += share * (points[axis] - last[axis]);
                points[axis] = last[axis];
            }
        }
    }

    /** How much of the difference to the last value is taken over, for a cutoff in Hz. */
    private static double share(double cutoff, double fps) {
        return 1 / (1 + fps / (2 * Math.PI * cutoff));
    }
}
