package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraDevice;
import java.nio.ByteBuffer;
import org.json.JSONObject;
import org.junit.Test;

/** Frames of a camera, with any strides, turned upright, against the JFIF equations in Python. */
public class YuvFrameTest {
    @Test public void picturesAreThoseOfPython() throws Exception {
        Picture picture = new Picture();
        for (JSONObject json : Vectors.cases("frames")) {
            int rotation = json.getInt("rotation");
            Vectors.frame(json).toPicture(rotation, picture);
            boolean isTurned = rotation % 180 != 0;
            assertEquals(json.getInt(isTurned ? "height" : "width"), picture.width);
            byte[] expected = Vectors.bytes(json, "picture");
            assertEquals(expected.length, 3 * picture.width * picture.height);
            for (int i = 0; i < expected.length; i++) {
                int value = picture.argb[i / 3] >> 16 - 8 * (i % 3) & 255;
                assertTrue("rotation " + rotation, Math.abs(value - (expected[i] & 255)) <= 1);
            }
        }
    }

    @Test public void planesThatAreTooShortAreRefused() {
        YuvFrame frame = new YuvFrame();
        ByteBuffer luma = ByteBuffer.allocateDirect(15);
        ByteBuffer chroma = ByteBuffer.allocateDirect(4);
        assertThrows(IllegalArgumentException.class, () -> frame.copy(4, 4, luma, 4, chroma, chroma, 2, 1));
    }

    @Test public void aSensorThatIsBuiltInSidewaysStandsUpright() {
        assertEquals(90, CameraFeed.rotation(90, 0, false)); // the usual back camera, the phone upright
        assertEquals(0, CameraFeed.rotation(90, 90, false)); // turned to the left
        assertEquals(180, CameraFeed.rotation(90, 270, false));
        assertEquals(270, CameraFeed.rotation(270, 0, true)); // the usual front camera
        assertEquals(0, CameraFeed.rotation(270, 90, true));
        assertEquals(270, CameraFeed.rotation(0, 90, false));
    }

    @Test public void whatIsWrongWithACameraIsTold() {
        String taken = CameraFeed.reason(CameraFeed.accessError(CameraDevice.StateCallback.ERROR_CAMERA_IN_USE));
        assertTrue(taken, taken.contains("Another app has the camera"));
        String off = CameraFeed.reason(CameraFeed.accessError(CameraDevice.StateCallback.ERROR_CAMERA_DISABLED));
        assertTrue(off, off.contains("switched off"));
        assertTrue(CameraFeed.reason(CameraAccessException.CAMERA_DISCONNECTED).contains("come back"));
        assertTrue(CameraFeed.reason(CameraFeed.accessError(99)).contains("restart the phone"));
    }
}
