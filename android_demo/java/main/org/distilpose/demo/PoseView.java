package org.distilpose.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Matrix;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;

/** Shows the picture of the camera with the skeleton on it, as large as it fits. */
public final class PoseView extends View {
    private static final float JOINT_SCORE = 0.1f; // as in pose/poses.py: joints that score less are not drawn
    private static final int LEFT = Color.rgb(0, 200, 255);
    private static final int RIGHT = Color.rgb(255, 130, 0);
    private static final int MIDDLE = Color.rgb(60, 230, 60);

    private final Paint line = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Paint dot = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Paint smooth = new Paint(Paint.FILTER_BITMAP_FLAG);
    private final Matrix toView = new Matrix();
    private final float[] point = new float[2];
    private Skeleton skeleton;
    private Pose pose;
    private boolean isSeen;
    private boolean isMirrored;
    private Bitmap bitmap;
    private float[] places = new float[0]; // of the joints in the view

    public PoseView(Context context, AttributeSet attributes) {
        super(context, attributes);
        line.setStrokeCap(Paint.Cap.ROUND);
    }

    /**
     * Show a frame; any thread may call it, and its arguments may be written again afterwards.
     *
     * @param pose the person in it, in its pixels; null if nobody is seen
     * @param isMirrored whether it is shown as in a mirror, as people expect of a front camera
     */
    synchronized void show(Picture picture, Skeleton skeleton, Pose pose, boolean isMirrored) {
        if (bitmap == null || bitmap.getWidth() != picture.width || bitmap.getHeight() != picture.height) {
            bitmap = Bitmap.createBitmap(picture.width, picture.height, Bitmap.Config.ARGB_8888);
        }
        bitmap.setPixels(picture.argb, 0, picture.width, 0, 0, picture.width, picture.height);
        if (this.skeleton != skeleton) {
            this.skeleton = skeleton;
            this.pose = new Pose(skeleton.joints.length);
            places = new float[2 * skeleton.joints.length];
        }
        isSeen = pose != null;
        if (isSeen) this.pose.set(pose);
        this.isMirrored = isMirrored;
        postInvalidate();
    }

    @Override protected synchronized void onDraw(Canvas canvas) {
        canvas.drawColor(Color.BLACK);
        if (bitmap == null) return;
        float scale = Math.min((float) getWidth() / bitmap.getWidth(), (float) getHeight() / bitmap.getHeight());
        toView.setScale(isMirrored ? -scale : scale, scale);
        float width = bitmap.getWidth() * scale;
        toView.postTranslate((getWidth() - width) / 2 + (isMirrored ? width : 0),
            (getHeight() - bitmap.getHeight() * scale) / 2);
        canvas.drawBitmap(bitmap, toView, smooth);
        if (isSeen) drawPose(canvas);
    }

    private void drawPose(Canvas canvas) {
        for (int i = 0; i < places.length; i += 2) {
            point[0] = (float) pose.points[i] + 0.5f; // a bitmap's pixel has its centre half a pixel from its corner
            point[1] = (float) pose.points[i + 1] + 0.5f;
            toView.mapPoints(point);
            places[i] = point[0];
            places[i + 1] = point[1];
        }
        float size = personSize();
        line.setStrokeWidth(Math.max(size / 60, 3));
        for (int[] limb : skeleton.limbs) {
            int a = limb[0];
            int b = limb[1];
            if (pose.scores[a] < JOINT_SCORE || pose.scores[b] < JOINT_SCORE) continue;
            line.setColor(limbColour(skeleton.sides[a], skeleton.sides[b]));
            canvas.drawLine(places[2 * a], places[2 * a + 1], places[2 * b], places[2 * b + 1], line);
        }
        float radius = Math.max(size / 65, 4);
        for (int i = 0; i < pose.scores.length; i++) {
            if (pose.scores[i] < JOINT_SCORE) continue;
            dot.setColor(Color.WHITE);
            canvas.drawCircle(places[2 * i], places[2 * i + 1], radius, dot);
            dot.setColor(colour(skeleton.sides[i]));
            canvas.drawCircle(places[2 * i], places[2 * i + 1], radius * 2 / 3, dot);
        }
    }

    /** The larger side of the box about the joints that are drawn, in pixels of the view. */
    private float personSize() {
        float left = Float.MAX_VALUE;
        float right = -Float.MAX_VALUE;
        float top = left;
        float bottom = right;
        for (int i = 0; i < pose.scores.length; i++) {
            if (pose.scores[i] < JOINT_SCORE) continue;
            left = Math.min(left, places[2 * i]);
            right = Math.max(right, places[2 * i]);
            top = Math.min(top, places[2 * i + 1]);
            bottom = Math.max(bottom, places[2 * i + 1]);
        }
        return Math.min(Math.max(right - left, bottom - top), Math.min(getWidth(), getHeight()));
    }

    private static int limbColour(Skeleton.Side a, Skeleton.Side b) {
        if (a == b || b == Skeleton.Side.MIDDLE) return colour(a);
        return a == Skeleton.Side.MIDDLE ? colour(b) : MIDDLE;
    }

    private static int colour(Skeleton.Side side) {
        return side == Skeleton.Side.LEFT ? LEFT : side == Skeleton.Side.RIGHT ? RIGHT : MIDDLE;
    }
}
