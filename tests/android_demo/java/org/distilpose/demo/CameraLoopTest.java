package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.Manifest;
import android.app.Application;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraManager;
import android.media.Image;
import android.media.ImageReader;
import android.os.Handler;
import android.view.Surface;
import android.widget.TextView;
import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.Shadows;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.annotation.Implementation;
import org.robolectric.annotation.Implements;
import org.robolectric.shadow.api.Shadow;
import org.robolectric.shadows.ShadowCameraCharacteristics;
import org.robolectric.shadows.ShadowCameraManager;

/** Frames of Camera2, as its reader delivers them, through the whole app to the skeleton on the screen. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34, shadows = CameraLoopTest.Reader.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
public class CameraLoopTest {
    private static final int FRAMES = 6;

    @Test public void everyCameraShowsTheSamePersonUpright() throws Exception {
        Bitmap back = shown(90, CameraCharacteristics.LENS_FACING_BACK, 90);
        int left = 0;
        int right = 0;
        for (int x = 0; x < 480; x++) {
            for (int y = 0; y < 640; y++) {
                left += back.getPixel(x, y) == 0xff00c8ff ? 1 : 0;
                right += back.getPixel(x, y) == 0xffff8200 ? 1 : 0;
            }
        }
        assertTrue(left + " and " + right + " pixels of the skeleton", left > 200 && right > 200);
        Bitmap upright = shown(0, CameraCharacteristics.LENS_FACING_BACK, 0);
        assertEquals(307200, same(back, upright, false));
        int mirrored = same(back, shown(270, CameraCharacteristics.LENS_FACING_FRONT, 270), true);
        assertTrue("of 307200 pixels " + mirrored, mirrored > 300000); // all but the soft edges of lines
    }

    @Test public void framesThatAreTooShortAreSaid() throws Exception {
        JSONObject json = frame(0);
        json.put("height", json.getInt("height") + 2);
        try (ActivityController<MainActivity> controller = started(CameraCharacteristics.LENS_FACING_BACK, 0)) {
            Reader.deliver(new Frame(json, 1));
            Shadows.shadowOf(android.os.Looper.getMainLooper()).idle();
            TextView problem = controller.get().findViewById(R.id.problem);
            String text = problem.getText().toString();
            assertTrue(text, text.startsWith("The frames of this camera cannot be read (a plane has "));
        }
    }

    /** What the app draws of the frame with that rotation from a camera whose sensor is turned by that angle. */
    private static Bitmap shown(int rotation, int facing, int orientation) throws Exception {
        try (ActivityController<MainActivity> controller = started(facing, orientation)) {
            for (int i = 0; i < FRAMES; i++) Reader.deliver(new Frame(frame(rotation), 1 + i * 40_000_000L));
            PoseView view = controller.get().findViewById(R.id.pose);
            view.layout(0, 0, 480, 640);
            Bitmap bitmap = Bitmap.createBitmap(480, 640, Bitmap.Config.ARGB_8888);
            view.draw(new Canvas(bitmap));
            return bitmap;
        }
    }

    /** The app with its model and a phone's only camera open. */
    private static ActivityController<MainActivity> started(int facing, int orientation) throws Exception {
        CameraCharacteristics traits = ShadowCameraCharacteristics.newCameraCharacteristics();
        Shadows.shadowOf(traits).set(CameraCharacteristics.LENS_FACING, facing);
        Shadows.shadowOf(traits).set(CameraCharacteristics.SENSOR_ORIENTATION, orientation);
        Application app = RuntimeEnvironment.getApplication();
        ShadowCameraManager manager = Shadows.shadowOf(app.getSystemService(CameraManager.class));
        for (String id : app.getSystemService(CameraManager.class).getCameraIdList()) manager.removeCamera(id);
        manager.addCamera("0", traits);
        Shadows.shadowOf(app).grantPermissions(Manifest.permission.CAMERA);
        Reader.listener = null;
        ActivityController<MainActivity> controller = Robolectric.buildActivity(MainActivity.class).setup();
        MainActivity activity = controller.get();
        if (facing == CameraCharacteristics.LENS_FACING_FRONT) activity.findViewById(R.id.camera).performClick();
        for (int i = 0; activity.worker().pipeline() == null || Reader.listener == null; i++) {
            assertTrue("neither a model nor a camera for a minute", i < 1200);
            Shadows.shadowOf(android.os.Looper.getMainLooper()).idle();
            Thread.sleep(50);
        }
        return controller;
    }

    private static JSONObject frame(int rotation) throws Exception {
        for (JSONObject one : Vectors.cases("camera")) {
            if (one.getInt("rotation") == rotation) return one;
        }
        throw new AssertionError("no case is turned by " + rotation);
    }

    private static int same(Bitmap one, Bitmap other, boolean isMirrored) {
        int count = 0;
        for (int x = 0; x < one.getWidth(); x++) {
            int to = isMirrored ? one.getWidth() - 1 - x : x;
            for (int y = 0; y < one.getHeight(); y++) count += one.getPixel(x, y) == other.getPixel(to, y) ? 1 : 0;
        }
        return count;
    }

    /** A reader whose frames a test delivers. */
    @Implements(ImageReader.class)
    public static final class Reader {
        static volatile ImageReader.OnImageAvailableListener listener;
        private static ImageReader reader;
        private static Handler handler;
        private static Image next;

        /** Return when the app has done with the frame. */
        static void deliver(Image image) throws InterruptedException {
            CountDownLatch done = new CountDownLatch(1);
            handler.post(() -> {
                next = image;
                listener.onImageAvailable(reader);
                done.countDown();
            });
            assertTrue("the camera's thread has ended", done.await(60, TimeUnit.SECONDS));
        }

        @Implementation protected static ImageReader newInstance(int width, int height, int format, int most) {
            reader = Shadow.newInstanceOf(ImageReader.class);
            return reader;
        }

        @Implementation protected void setOnImageAvailableListener(ImageReader.OnImageAvailableListener given, Handler on) {
            handler = on;
            listener = given;
        }

        @Implementation protected Surface getSurface() {
            return new Surface(new SurfaceTexture(0));
        }

        @Implementation protected Image acquireLatestImage() {
            return next;
        }

        @Implementation protected void close() {}
    }

    /** A frame in YUV_420_888 with the strides of a case. */
    private static final class Frame extends Image {
        private final JSONObject json;
        private final long nanos;
        private final Plane[] planes;

        Frame(JSONObject json, long nanos) throws Exception {
            this.json = json;
            this.nanos = nanos;
            int chroma = json.getInt("uvRow");
            int step = json.getInt("uvPixel");
            planes = new Plane[] {new Bytes(Vectors.bytes(json, "y"), json.getInt("yRow"), 1),
                new Bytes(Vectors.bytes(json, "u"), chroma, step), new Bytes(Vectors.bytes(json, "v"), chroma, step)};
        }

        @Override public int getFormat() {
            return android.graphics.ImageFormat.YUV_420_888;
        }

        @Override public int getWidth() {
            return json.optInt("width");
        }

        @Override public int getHeight() {
            return json.optInt("height");
        }

        @Override public long getTimestamp() {
            return nanos;
        }

        @Override public int getTransform() {
            return 0;
        }

        @Override public int getScalingMode() {
            return 0;
        }

        @Override public Plane[] getPlanes() {
            return planes;
        }

        @Override public void close() {}
    }

    private static final class Bytes extends Image.Plane {
        private final ByteBuffer buffer;
        private final int row;
        private final int pixel;

        Bytes(byte[] bytes, int row, int pixel) {
            buffer = Vectors.direct(bytes);
            this.row = row;
            this.pixel = pixel;
        }

        @Override public int getRowStride() {
            return row;
        }

        @Override public int getPixelStride() {
            return pixel;
        }

        @Override public ByteBuffer getBuffer() {
            return buffer;
        }
    }
}
