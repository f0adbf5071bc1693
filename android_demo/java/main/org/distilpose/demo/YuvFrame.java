package org.distilpose.demo;

import java.nio.ByteBuffer;

/**
 * A frame of a camera in YUV_420_888, copied from its planes, and turned into an upright RGB picture.
 *
 * Cameras deliver BT.601 in full range (JFIF). Its memory is used again for every frame.
 */
final class YuvFrame {
    private int width;
    private int height;
    private byte[] luma = new byte[0];
    private byte[] blue = new byte[0];
    private byte[] red = new byte[0];
    private int lumaStride;
    private int chromaStride;
    private int chromaStep;

    /**
     * Copy the planes of a frame; row and pixel strides are bytes.
     *
     * @throws IllegalArgumentException planes that are too short for that size
     */
    void copy(int width, int height, ByteBuffer y, int yRow, ByteBuffer u, ByteBuffer v, int uvRow, int uvPixel) {
        this.width = width;
        this.height = height;
        lumaStride = yRow;
        chromaStride = uvRow;
        chromaStep = uvPixel;
        luma = copy(y, luma, (height - 1) * yRow + width);
        int size = ((height + 1) / 2 - 1) * uvRow + ((width + 1) / 2 - 1) * uvPixel + 1;
        blue = copy(u, blue, size);
        red = copy(v, red, size);
    }

    /**
     * Convert to RGB.
     *
     * @param rotation degrees by which the frame is turned clockwise to stand upright: 0, 90, 180 or 270
     * @param picture written; its size becomes the upright one
     */
    void toPicture(int rotation, Picture picture) {
        boolean isTurned = rotation % 180 != 0;
        picture.resize(isTurned ? height : width, isTurned ? width : height);
        // index in the picture = start + x * right + y * down
        int right = rotation == 0 ? 1 : rotation == 90 ? picture.width : rotation == 180 ? -1 : -picture.width;
        int down = rotation == 0 ? picture.width : rotation == 90 ? -1 : rotation == 180 ? -picture.width : 1;
        int start = (right < 0 ? -right * (width - 1) : 0) + (down < 0 ? -down * (height - 1) : 0);
        for (int y = 0; y < height; y++) {
            int from = y * lumaStride;
            int chromaRow = y / 2 * chromaStride;
            int to = start + y * down;
            for (int x = 0; x < width; x++, to += right) {
                int chroma = chromaRow + x / 2 * chromaStep;
                picture.argb[to] = rgb(luma[from + x] & 255, (blue[chroma] & 255) - 128, (red[chroma] & 255) - 128);
            }
        }
    }

    /** BT.601 in full range, with 16 bits after the point. */
    static int rgb(int y, int u, int v) {
        int scaled = (y << 16) + (1 << 15);
        int r = clamp(scaled + 91881 * v >> 16);
        int g = clamp(scaled - 22554 * u - 46802 * v >> 16);
        int b = clamp(scaled + 116130 * u >> 16);
        return 0xff000000 | r << 16 | g << 8 | b;
    }

    private static int clamp(int value) {
        return value < 0 ? 0 : Math.min(value, 255);
    }

    private static byte[] copy(ByteBuffer from, byte[] to, int size) {
        from.rewind();
        if (from.remaining() < size) {
            throw new IllegalArgumentException("a plane has " + from.remaining() + " bytes, not " + size);
        }
        byte[] target = to.length < size ? new byte[size] : to;
        from.get(target, 0, size);
        return target;
    }
}
