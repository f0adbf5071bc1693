package org.distilpose.demo;

/**
 * One person through the frames of a camera, without a detector: the whole picture first, two tiles of it a frame, then the
 * crop around the last keypoints. `Tracking` of edge/predict/tracking.py, whose numbers it has; a frame allocates nothing.
 */
final class Tracker {
    private static final double PERSON_SCORE = 0.15;
    private static final double LOST_SCORE = 0.08;
    private static final int REFINEMENTS = 2;
    private static final double STILL = 0.75;
    private static final double SHRINKING = 0.9;
    private static final int TILES_A_FRAME = 2;

    /** The person of the last frame, if `update` saw one; smoothed where that is on. */
    final Pose pose;
    boolean smooth = true;
    private final Estimator estimator;
    private final OneEuro filter;
    private final Pose candidate;
    private final double[] box = new double[4];
    private final double[] nextBox = new double[4];
    private final double[] whole = new double[4];
    private double[][] tiles = new double[0][];
    private int turn;
    private boolean isFollowing;

    Tracker(Estimator estimator) {
        this.estimator = estimator;
        pose = new Pose(estimator.joints());
        candidate = new Pose(estimator.joints());
        filter = new OneEuro(estimator.joints());
    }

    /**
     * Look at the next frame.
     *
     * @param fps frames a second, since the last one
     * @return whether a person is seen, whose keypoints are then in `pose`
     * @throws Failure the runtime failed
     */
    boolean update(Picture picture, double fps) throws Failure {
        resize(picture.width, picture.height);
        boolean isSeen = isFollowing && follow(picture);
        if (!isSeen) {
            isFollowing = search(picture);
            if (!isFollowing) return false;
            Boxes.body(pose, box);
            filter.reset();
        }
        if (smooth) {
            filter.filter(pose.points, Math.max(box[2], box[3]), fps);
        } else {
            filter.reset();
        }
        return true;
    }

    private void resize(int width, int height) {
        if (whole[2] == width && whole[3] == height) return;
        whole[2] = width;
        whole[3] = height;
        tiles = Boxes.tiles(width, height);
        turn = 0;
        isFollowing = false;
    }

    private boolean follow(Picture picture) throws Failure {
        estimator.estimate(picture, box, pose);
        if (pose.score() < LOST_SCORE) return false;
        Boxes.body(pose, nextBox);
        if (Boxes.overlap(nextBox, box) < STILL) {
            for (int axis = 0; axis < 2; axis++) {
                double size = Math.max(nextBox[axis + 2], SHRINKING * box[axis + 2]);
                box[axis] = nextBox[axis] + (nextBox[axis + 2] - size) / 2;
                box[axis + 2] = size;
            }
        }
        return true;
    }

    private boolean search(Picture picture) throws Failure {
        int first = turn % tiles.length;
        int last = (turn + TILES_A_FRAME - 1) % tiles.length;
        turn = last + 1;
        estimator.estimate(picture, whole, pose);
        if (refine(picture)) return true;
        estimator.estimate(picture, tiles[first], pose);
        estimator.estimate(picture, tiles[last], candidate);
        if (candidate.score() > pose.score()) pose.set(candidate);
        return refine(picture);
    }

    /** Looks closer at what is in `pose`; returns whether it is a person. */
    private boolean refine(Picture picture) throws Failure {
        for (int i = 0; i < REFINEMENTS && pose.score() > 0; i++) {
            Boxes.body(pose, nextBox);
            estimator.estimate(picture, nextBox, candidate);
            if (candidate.score() <= pose.score()) break;
            pose.set(candidate);
        }
        return pose.score() >= PERSON_SCORE;
    }
}
