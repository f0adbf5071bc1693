package org.distilpose.demo;

/** Cuts crops from a picture, bilinear, black outside it: `warp` of pose/crop.py, to a grey level. For one thread. */
final class Cropper {
    private final InputSpec input;
    private final int[] columns; // of each column of the crop, the picture's column left of it
    private final float[] shares; // and how far it lies from there to the next one

    Cropper(InputSpec input) {
        this.input = input;
        columns = new int[input.width];
        shares = new float[input.width];
    }

    /**
     * Cut one crop.
     *
     * @param argb the picture [height * width], as in android.graphics.Color
     * @param crop written: uint8 RGB [crop height, crop width, 3]
     */
    void cut(int[] argb, int width, int height, CropRegion region, byte[] crop) {
        for (int i = 0; i < columns.length; i++) {
            float x = clamp(region.left + i * region.scale, width);
            columns[i] = (int) Math.floor(x);
            shares[i] = x - columns[i];
        }
        int to = 0;
        for (int j = 0; j < input.height; j++) {
            float y = clamp(region.top + j * region.scale, height);
            int row = (int) Math.floor(y);
            float down = y - row;
            for (int i = 0; i < columns.length; i++, to += 3) {
                int column = columns[i];
                int a = pixel(argb, width, height, column, row);
                int b = pixel(argb, width, height, column + 1, row);
                int c = pixel(argb, width, height, column, row + 1);
                int d = pixel(argb, width, height, column + 1, row + 1);
                float right = shares[i];
                crop[to] = mix(a >> 16 & 255, b >> 16 & 255, c >> 16 & 255, d >> 16 & 255, right, down);
                crop[to + 1] = mix(a >> 8 & 255, b >> 8 & 255, c >> 8 & 255, d >> 8 & 255, right, down);
                crop[to + 2] = mix(a & 255, b & 255, c & 255, d & 255, right, down);
            }
        }
    }

    /** As float, like OpenCV's own coordinates; what lies far outside is moved to just outside, where it is as black. */
    private static float clamp(double position, int side) {
        return (float) Math.max(-2, Math.min(position, side + 1));
    }

    private static int pixel(int[] argb, int width, int height, int x, int y) {
        return x >= 0 && x < width && y >= 0 && y < height ? argb[y * width + x] : 0;
    }

    private static byte mix(int a, int b, int c, int d, float right, float down) {
        float above = a + right * (b - a);
        float below = c + right * (d - c);
        return (byte) (int) (above + down * (below - above) + 0.5f);
    }
}
