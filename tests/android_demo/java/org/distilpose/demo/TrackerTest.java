package org.distilpose.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

/** Smoothing and tracking against edge/predict. */
public class TrackerTest {
    @Test public void smoothingIsThatOfPython() throws Exception {
        for (JSONObject json : Vectors.cases("smoothing")) {
            JSONArray points = json.getJSONArray("points");
            double[] sizes = Vectors.doubles(json.getJSONArray("sizes"));
            OneEuro filter = new OneEuro(points.getJSONArray(0).length() / 2);
            for (int round = 0; round < 2; round++) { // a second person after `reset`
                for (int i = 0; i < sizes.length; i++) {
                    double[] frame = Vectors.doubles(points.getJSONArray(i));
                    filter.filter(frame, sizes[i], json.getDouble("fps"));
                    assertArrayEquals(Vectors.doubles(json.getJSONArray("filtered").getJSONArray(i)), frame, 1e-9);
                }
                filter.reset();
            }
        }
    }

    @Test public void trackingIsThatOfPython() throws Exception {
        for (JSONObject json : Vectors.cases("tracking")) {
            DrawnEstimator estimator = new DrawnEstimator();
            Tracker tracker = new Tracker(estimator);
            tracker.smooth = json.getBoolean("smooth");
            Picture picture = new Picture();
            picture.resize(json.getInt("width"), json.getInt("height"));
            JSONArray people = json.getJSONArray("people");
            for (int i = 0; i < people.length(); i++) {
                estimator.person = people.isNull(i) ? null : Vectors.doubles(people.getJSONArray(i));
                boolean isSeen = tracker.update(picture, json.getDouble("fps"));
                JSONArray answers = json.getJSONArray("answers");
                assertEquals("frame " + i, !answers.isNull(i), isSeen);
                if (isSeen) {
                    assertArrayEquals("frame " + i, Vectors.doubles(answers.getJSONArray(i)), tracker.pose.points, 1e-4);
                }
            }
        }
    }

    @Test public void aFrameOfAnotherSizeIsSearchedAnew() throws Exception {
        DrawnEstimator estimator = new DrawnEstimator();
        estimator.person = new double[] {10, 10, 50, 80};
        Tracker tracker = new Tracker(estimator);
        Picture picture = new Picture();
        for (int side : new int[] {100, 200, 100}) { // the phone was turned in the middle
            picture.resize(side, 300 - side);
            assertEquals(true, tracker.update(picture, 30));
        }
    }

    /** That of app_vectors.py. */
    private static final class DrawnEstimator implements Estimator {
        private static final double[][] JOINTS = {
            {0.5, 0.1, 0.9}, {0.2, 0.4, 0.7}, {0.8, 0.4, 0.8}, {0.3, 0.95, 0.02}, {0.7, 0.9, 0.5}};
        double[] person;

        @Override public int joints() {
            return JOINTS.length;
        }

        @Override public void estimate(Picture picture, double[] box, Pose pose) {
            double[] place = person == null ? box : person;
            double fit = person == null ? 0 : Boxes.overlap(box, person);
            for (int i = 0; i < JOINTS.length; i++) {
                pose.scores[i] = (float) (JOINTS[i][2] * (person == null ? 0.02 : 0.1 + fit));
                for (int axis = 0; axis < 2; axis++) {
                    double off = box[axis] + box[axis + 2] / 2 - place[axis] - place[axis + 2] / 2;
                    pose.points[2 * i + axis] = place[axis] + JOINTS[i][axis] * place[axis + 2] + off * 0.1 * (1 - fit);
                }
            }
        }
    }
}
