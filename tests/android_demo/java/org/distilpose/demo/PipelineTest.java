package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import org.json.JSONObject;
import org.junit.Test;

/** From a camera's frame to keypoints with the bundled student: what is allocated, and what it sees. */
public class PipelineTest {
    private static final int FRAMES = 1000;

    @Test public void nothingIsAllocatedForAFrame() throws Exception {
        JSONObject json = Vectors.cases("frames").get(0);
        YuvFrame frame = Vectors.frame(json);
        Picture picture = new Picture();
        Tracker tracker = new Tracker(new SteadyEstimator());
        InputSpec input = Bundled.card("int8").input;
        CropRegion region = new CropRegion(input, 1.25);
        Cropper cropper = new Cropper(input);
        InputTensor tensor = new InputTensor(input, Vectors.direct(new byte[input.tensorBytes()]));
        byte[] crop = new byte[input.cropBytes()];
        double[] box = {1, 1, 9, 9};
        java.nio.ByteBuffer y = Vectors.direct(Vectors.bytes(json, "y"));
        java.nio.ByteBuffer u = Vectors.direct(Vectors.bytes(json, "u"));
        java.nio.ByteBuffer v = Vectors.direct(Vectors.bytes(json, "v"));
        int[] sizes = {json.getInt("width"), json.getInt("height"), json.getInt("yRow"), json.getInt("uvRow"),
            json.getInt("uvPixel")};
        Runnable once = () -> {
            frame.copy(sizes[0], sizes[1], y, sizes[2], u, v, sizes[3], sizes[4]);
            frame.toPicture(90, picture);
            region.set(box);
            cropper.cut(picture.argb, picture.width, picture.height, region, crop);
            tensor.write(crop);
            try {
                tracker.update(picture, 30);
            } catch (Failure failure) {
                throw new AssertionError(failure);
            }
        };
        for (int i = 0; i < 20; i++) once.run();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
        long empty = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
        before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
        for (int i = 0; i < FRAMES; i++) once.run();
        long bytes = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before - empty;
        System.out.println("allocated: " + bytes + " bytes in " + FRAMES + " frames");
        assertEquals(0, bytes);
    }

    @Test public void theBundledStudentSeesADrawnPerson() throws Exception {
        JSONObject json = Vectors.cases("person").get(0);
        Card card = Bundled.card("int8");
        try (Model model = Bundled.open("int8", 1)) {
            model.replay();
            Pipeline pipeline = new Pipeline(model, card.skeleton, card.padding);
            Pose pose = null;
            for (int i = 0; i < 3; i++) {
                pose = pipeline.process(Vectors.frame(json), json.getInt("rotation"), i * 40_000_000L + 1);
            }
            assertTrue(pose != null && pose.score() > 0.3);
            assertEquals(25, pipeline.fps, 2);
            assertTrue(pipeline.modelMs > 0 && pipeline.preprocessingMs > 0);
            assertEquals(480, pipeline.picture.width);
        }
    }

    private static final class SteadyEstimator implements Estimator {
        private int nth;

        @Override public int joints() {
            return 17;
        }

        @Override public void estimate(Picture picture, double[] box, Pose pose) {
            boolean isThere = nth++ % 100 < 80; // also lost and searched for
            for (int i = 0; i < 17; i++) {
                pose.scores[i] = isThere ? 0.9f : 0.01f;
                pose.points[2 * i] = i;
                pose.points[2 * i + 1] = 20 - i + nth % 3;
            }
        }
    }
}
