package org.distilpose.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.Manifest;
import android.app.Application;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.os.Bundle;
import android.provider.Settings;
import android.view.View;
import android.widget.Button;
import android.widget.CompoundButton;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.util.concurrent.Callable;
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

/** The activity on Android's own framework in this JVM: life cycle, permission, switches, and the picture of the README. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34, qualifiers = "w411dp-h731dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
public class MainActivityTest {
    private final Application app = RuntimeEnvironment.getApplication();

    @Test public void thePermissionIsAskedForAndDeniedForGood() throws Exception {
        try (ActivityController<MainActivity> controller = Robolectric.buildActivity(MainActivity.class)) {
            MainActivity activity = controller.setup().get();
            assertEquals(Manifest.permission.CAMERA,
                Shadows.shadowOf(activity).getLastRequestedPermission().requestedPermissions[0]);
            activity.onRequestPermissionsResult(1, new String[] {Manifest.permission.CAMERA},
                new int[] {PackageManager.PERMISSION_DENIED});
            TextView problem = activity.findViewById(R.id.problem);
            assertEquals(View.VISIBLE, problem.getVisibility());
            assertTrue(problem.getText().toString().contains("Without the camera"));
            Button settings = activity.findViewById(R.id.settings);
            settings.performClick();
            Intent next = Shadows.shadowOf(activity).getNextStartedActivity();
            assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, next.getAction());
            Shadows.shadowOf(app).grantPermissions(Manifest.permission.CAMERA); // and back from the settings
            controller.pause().resume();
            assertEquals(View.GONE, settings.getVisibility());
        }
    }

    @Test public void aPhoneWithoutACameraSaysSo() throws Exception {
        Shadows.shadowOf(app).grantPermissions(Manifest.permission.CAMERA);
        try (ActivityController<MainActivity> controller = Robolectric.buildActivity(MainActivity.class)) {
            MainActivity activity = controller.setup().get();
            TextView problem = activity.findViewById(R.id.problem);
            waitFor(() -> problem.getText().toString().contains("no camera"));
        }
    }

    @Test public void switchesAndTurnsKeepTheModel() throws Exception {
        try (ActivityController<MainActivity> controller = Robolectric.buildActivity(MainActivity.class)) {
            MainActivity activity = controller.setup().get();
            Pipeline first = loaded(activity, null);
            CompoundButton isFloat = activity.findViewById(R.id.is_float);
            isFloat.performClick();
            Pipeline second = loaded(activity, first);
            activity.findViewById(R.id.threads).performClick();
            Pipeline third = loaded(activity, second);
            assertEquals("Threads: 2", ((Button) activity.findViewById(R.id.threads)).getText().toString());
            activity.findViewById(R.id.smooth).performClick();
            activity.findViewById(R.id.camera).performClick();
            RuntimeEnvironment.setQualifiers("+land");
            controller.configurationChange(); // turned: the same activity goes on
            assertEquals(third, activity.worker().pipeline());
            Bundle state = new Bundle();
            controller.saveInstanceState(state).pause().stop().destroy();
            MainActivity again = Robolectric.buildActivity(MainActivity.class).setup(state).get();
            assertTrue(((CompoundButton) again.findViewById(R.id.is_float)).isChecked());
            assertEquals("Threads: 2", ((Button) again.findViewById(R.id.threads)).getText().toString());
            loaded(again, null);
        }
    }

    @Test public void thePictureOfTheReadme() throws Exception {
        JSONObject json = Vectors.cases("person").get(0);
        try (ActivityController<MainActivity> controller = Robolectric.buildActivity(MainActivity.class)) {
            MainActivity activity = controller.setup().visible().get();
            Pipeline pipeline = loaded(activity, null);
            for (int i = 0; i < 12; i++) {
                activity.worker().onFrame(Vectors.frame(json), json.getInt("rotation"), 1 + i * 33_333_333L, false);
            }
            assertTrue(pipeline.fps > 0);
            View root = activity.getWindow().getDecorView();
            root.measure(View.MeasureSpec.makeMeasureSpec(822, View.MeasureSpec.EXACTLY),
                View.MeasureSpec.makeMeasureSpec(1462, View.MeasureSpec.EXACTLY));
            root.layout(0, 0, 822, 1462);
            TextView status = activity.findViewById(R.id.status);
            status.setText(R.string.app_name); // the times of this JVM are none of a phone
            Bitmap bitmap = Bitmap.createBitmap(822, 1462, Bitmap.Config.ARGB_8888);
            root.draw(new Canvas(bitmap));
            try (FileOutputStream out = new FileOutputStream(new File(Vectors.WORK, "android.png"))) {
                assertTrue(bitmap.compress(Bitmap.CompressFormat.PNG, 100, out));
            }
            assertTrue(count(bitmap, 0xff00c8ff) > 500); // the person's left, right and middle are drawn
            assertTrue(count(bitmap, 0xffff8200) > 500);
        }
    }

    @Test public void aFrontCameraIsShownAsAMirror() throws Exception {
        JSONObject json = Vectors.cases("person").get(0);
        Card card = Bundled.card("int8");
        Picture picture = new Picture();
        Vectors.frame(json).toPicture(90, picture);
        Pose pose = new Pose(card.skeleton.joints.length);
        for (int i = 0; i < pose.scores.length; i++) {
            pose.points[2 * i] = 10 + 3 * i;
            pose.points[2 * i + 1] = 300;
            pose.scores[i] = 1;
        }
        Bitmap plain = drawn(picture, card, pose, false);
        Bitmap mirrored = drawn(picture, card, pose, true);
        int same = 0;
        for (int x = 0; x < 480; x++) {
            for (int y = 0; y < 640; y += 7) same += plain.getPixel(x, y) == mirrored.getPixel(479 - x, y) ? 1 : 0;
        }
        assertTrue("of 44160 pixels " + same, same > 43000); // all but the soft edges
    }

    private Bitmap drawn(Picture picture, Card card, Pose pose, boolean isMirrored) {
        PoseView view = new PoseView(app, null);
        view.layout(0, 0, 480, 640);
        view.show(picture, card.skeleton, pose, isMirrored);
        Bitmap bitmap = Bitmap.createBitmap(480, 640, Bitmap.Config.ARGB_8888);
        view.draw(new Canvas(bitmap));
        return bitmap;
    }

    private static int count(Bitmap bitmap, int colour) {
        int[] pixels = new int[bitmap.getWidth() * bitmap.getHeight()];
        bitmap.getPixels(pixels, 0, bitmap.getWidth(), 0, 0, bitmap.getWidth(), bitmap.getHeight());
        int count = 0;
        for (int pixel : pixels) count += pixel == colour ? 1 : 0;
        return count;
    }

    /** The pipeline of a model that was opened after `before`. */
    private static Pipeline loaded(MainActivity activity, Pipeline before) throws Exception {
        waitFor(() -> activity.worker().pipeline() != null && activity.worker().pipeline() != before);
        return activity.worker().pipeline();
    }

    private static void waitFor(Callable<Boolean> condition) throws Exception {
        for (int i = 0; i < 1200; i++) {
            Shadows.shadowOf(android.os.Looper.getMainLooper()).idle();
            if (condition.call()) return;
            Thread.sleep(50);
        }
        throw new AssertionError("nothing happened for a minute");
    }
}
