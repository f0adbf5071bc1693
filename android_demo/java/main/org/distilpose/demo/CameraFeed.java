package org.distilpose.demo;

import android.annotation.SuppressLint;
import android.graphics.ImageFormat;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.media.Image;
import android.media.ImageReader;
import android.os.Handler;
import android.util.Size;
import android.view.Surface;
import java.util.Collections;
import java.util.List;

/** One camera, through Camera2: frames in YUV_420_888. All of it runs on the handler's thread. */
final class CameraFeed implements ImageReader.OnImageAvailableListener {
    /** Receives frames and problems, on the handler's thread. */
    interface Listener {
        void onFrame(Image image, CameraFeed feed);

        void onProblem(String line);
    }

    private static final int SIDE = 480; // pixels: the smallest frame with sides of at least that is taken

    final boolean isFront;
    private final CameraManager manager;
    private final Handler handler;
    private final Listener listener;
    private int sensorOrientation;
    private CameraDevice device;
    private ImageReader reader;
    private boolean isClosed;

    CameraFeed(CameraManager manager, boolean isFront, Handler handler, Listener listener) {
        this.manager = manager;
        this.isFront = isFront;
        this.handler = handler;
        this.listener = listener;
    }

    /**
     * Degrees by which a frame is turned clockwise to stand upright.
     *
     * @param display degrees of `Display.getRotation`: 0, 90, 180 or 270
     */
    int rotation(int display) {
        return rotation(sensorOrientation, display, isFront);
    }

    static int rotation(int sensor, int display, boolean isFront) {
        return (isFront ? sensor + display : sensor - display + 360) % 360;
    }

    /** Open the camera; the permission must have been granted. */
    @SuppressLint("MissingPermission")
    void open() {
        try {
            String camera = choose();
            if (camera == null) {
                listener.onProblem("This phone has no camera that an app may use.");
                return;
            }
            CameraCharacteristics traits = manager.getCameraCharacteristics(camera);
            Integer orientation = traits.get(CameraCharacteristics.SENSOR_ORIENTATION);
            sensorOrientation = orientation == null ? 0 : orientation;
            Size size = size(traits.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP));
            reader = ImageReader.newInstance(size.getWidth(), size.getHeight(), ImageFormat.YUV_420_888, 2);
            reader.setOnImageAvailableListener(this, handler);
            manager.openCamera(camera, new DeviceCallback(), handler);
        } catch (CameraAccessException error) {
            listener.onProblem(reason(error.getReason()));
        } catch (SecurityException error) {
            listener.onProblem("The camera may not be used: allow it in the settings of this app.");
        } catch (IllegalArgumentException error) {
            listener.onProblem("The camera was unplugged, or delivers no YUV frames.");
        }
    }

    /** Give the camera back. */
    void close() {
        isClosed = true;
        if (device != null) device.close();
        if (reader != null) reader.close();
        device = null;
        reader = null;
    }

    @Override public void onImageAvailable(ImageReader reader) {
        if (isClosed) return;
        try (Image image = reader.acquireLatestImage()) {
            if (image != null) listener.onFrame(image, this);
        } catch (IllegalStateException error) {
            // the camera was closed meanwhile
        }
    }

    private String choose() throws CameraAccessException {
        int wanted = isFront ? CameraCharacteristics.LENS_FACING_FRONT : CameraCharacteristics.LENS_FACING_BACK;
        String other = null;
        for (String id : manager.getCameraIdList()) {
            Integer facing = manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING);
            if (facing != null && facing == wanted) return id;
            other = id;
        }
        return other;
    }

    /** The smallest size with both sides of at least SIDE; the largest where all are smaller. */
    static Size size(StreamConfigurationMap map) {
        Size best = null;
        Size[] sizes = map == null ? null : map.getOutputSizes(ImageFormat.YUV_420_888);
        for (Size one : sizes == null ? new Size[0] : sizes) {
            if (best == null || isBetter(one, best)) best = one;
        }
        return best == null ? new Size(640, 480) : best; // which every camera must have
    }

    private static boolean isBetter(Size one, Size best) {
        boolean isEnough = Math.min(one.getWidth(), one.getHeight()) >= SIDE;
        boolean wasEnough = Math.min(best.getWidth(), best.getHeight()) >= SIDE;
        long area = (long) one.getWidth() * one.getHeight();
        long bestArea = (long) best.getWidth() * best.getHeight();
        return isEnough != wasEnough ? isEnough : isEnough ? area < bestArea : area > bestArea;
    }

    static String reason(int code) {
        switch (code) {
            case CameraAccessException.CAMERA_IN_USE:
            case CameraAccessException.MAX_CAMERAS_IN_USE:
                return "Another app has the camera: close it, then come back.";
            case CameraAccessException.CAMERA_DISABLED:
                return "The cameras of this phone are switched off, by its owner or by its privacy switch.";
            case CameraAccessException.CAMERA_DISCONNECTED:
                return "The camera was unplugged, or another app took it: come back to go on.";
            default:
                return "The camera failed: restart the phone if that stays so.";
        }
    }

    /** The reason of an exception for an error of an opened camera. */
    static int accessError(int code) {
        switch (code) {
            case CameraDevice.StateCallback.ERROR_CAMERA_IN_USE:
            case CameraDevice.StateCallback.ERROR_MAX_CAMERAS_IN_USE:
                return CameraAccessException.CAMERA_IN_USE;
            case CameraDevice.StateCallback.ERROR_CAMERA_DISABLED:
                return CameraAccessException.CAMERA_DISABLED;
            default:
                return CameraAccessException.CAMERA_ERROR;
        }
    }

    private void start(CameraDevice opened) throws CameraAccessException {
        CaptureRequest.Builder request = opened.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW);
        request.addTarget(reader.getSurface());
        List<Surface> outputs = Collections.singletonList(reader.getSurface());
        opened.createCaptureSession(outputs, new CameraCaptureSession.StateCallback() {
            @Override public void onConfigured(CameraCaptureSession session) {
                try {
                    if (!isClosed) session.setRepeatingRequest(request.build(), null, handler);
                } catch (CameraAccessException error) {
                    listener.onProblem(reason(error.getReason()));
                } catch (IllegalStateException error) {
                    // the camera was closed meanwhile
                }
            }

            @Override public void onConfigureFailed(CameraCaptureSession session) {
                listener.onProblem("The camera refuses to deliver YUV frames.");
            }
        }, handler);
    }

    private final class DeviceCallback extends CameraDevice.StateCallback {
        @Override public void onOpened(CameraDevice opened) {
            if (isClosed) {
                opened.close();
                return;
            }
            device = opened;
            try {
                start(opened);
            } catch (CameraAccessException error) {
                listener.onProblem(reason(error.getReason()));
            }
        }

        @Override public void onDisconnected(CameraDevice opened) {
            opened.close();
            listener.onProblem(reason(CameraAccessException.CAMERA_DISCONNECTED));
        }

        @Override public void onError(CameraDevice opened, int code) {
            opened.close();
            listener.onProblem(reason(accessError(code)));
        }
    }
}
