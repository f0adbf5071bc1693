package org.distilpose.demo;

/** The keypoints of the person in a box of a picture, by one model. */
interface Estimator {
    /** Number of joints. */
    int joints();

    /**
     * Answer whatever the box shows: `Pose.score` says how sure the network is.
     *
     * @param box x, y, width, height in pixels
     * @param pose written
     * @throws Failure the runtime failed
     */
    void estimate(Picture picture, double[] box, Pose pose) throws Failure;
}
