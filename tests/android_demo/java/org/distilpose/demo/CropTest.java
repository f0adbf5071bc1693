package org.distilpose.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.json.JSONObject;
import org.junit.Test;

/** Crops, tensors and places against pose/crop.py. */
public class CropTest {
    @Test public void cropsAreThoseOfPython() throws Exception {
        long far = 0;
        long all = 0;
        for (JSONObject json : Vectors.cases("crops")) {
            byte[] expected = Vectors.bytes(json, "crop");
            byte[] crop = cut(json);
            assertEquals(expected.length, crop.length);
            for (int i = 0; i < crop.length; i++) far += Math.abs((crop[i] & 255) - (expected[i] & 255)) > 1 ? 1 : 0;
            all += crop.length;
        }
        System.out.println("crops: " + far + " of " + all + " values more than a grey level apart");
        assertTrue(far + " of " + all, far <= all / 1000);
    }

    @Test public void tensorsAreThoseOfPython() throws Exception {
        for (JSONObject json : Vectors.cases("crops")) {
            InputSpec input = InputSpec.parse(json.getJSONObject("input"));
            byte[] expected = Vectors.bytes(json, "tensor");
            assertEquals(expected.length, input.tensorBytes());
            ByteBuffer memory = Vectors.direct(new byte[expected.length]);
            InputTensor tensor = new InputTensor(input, memory);
            tensor.write(cut(json)); // written twice: a tensor is used for every frame
            tensor.write(Vectors.bytes(json, "crop"));
            byte[] written = new byte[expected.length];
            memory.rewind();
            memory.get(written);
            if (input.takesPixels) {
                assertArrayEquals(expected, written);
            } else {
                assertArrayEquals(floats(expected), floats(written), 1e-6f);
            }
        }
    }

    @Test public void placesInThePictureAreThoseOfPython() throws Exception {
        for (JSONObject json : Vectors.cases("crops")) {
            double[] expected = Vectors.doubles(json.getJSONArray("points"));
            double[] coords = Vectors.doubles(json.getJSONArray("coords"));
            float[] narrow = new float[coords.length];
            for (int i = 0; i < coords.length; i++) narrow[i] = (float) coords[i];
            double[] points = new double[coords.length];
            region(json).toImage(narrow, points);
            assertArrayEquals(expected, points, 1e-4);
        }
    }

    @Test public void aBoxFarOutsideIsBlack() throws Exception {
        InputSpec input = InputSpec.parse(new JSONObject("{\"shape\": [1, 3, 4, 4], \"layout\": \"NHWC\", "
            + "\"dtype\": \"uint8\", \"colour\": \"RGB\", \"mean\": [0, 0, 0], \"std\": [1, 1, 1]}"));
        CropRegion region = new CropRegion(input, 1.25);
        int[] white = new int[64];
        java.util.Arrays.fill(white, -1);
        for (double x : new double[] {-1e9, 1e9, Double.NaN}) {
            region.set(new double[] {x, x, 3, 3});
            byte[] crop = new byte[input.cropBytes()];
            new Cropper(input).cut(white, 8, 8, region, crop);
            if (!Double.isNaN(x)) assertArrayEquals(new byte[crop.length], crop);
        }
    }

    private static CropRegion region(JSONObject json) throws Exception {
        CropRegion region = new CropRegion(InputSpec.parse(json.getJSONObject("input")), json.getDouble("padding"));
        region.set(Vectors.doubles(json.getJSONArray("box")));
        return region;
    }

    private static byte[] cut(JSONObject json) throws Exception {
        InputSpec input = InputSpec.parse(json.getJSONObject("input"));
        byte[] image = Vectors.bytes(json, "image");
        int[] argb = new int[image.length / 3];
        for (int i = 0; i < argb.length; i++) {
            argb[i] = 0xff000000 | (image[3 * i] & 255) << 16 | (image[3 * i + 1] & 255) << 8 | image[3 * i + 2] & 255;
        }
        byte[] crop = new byte[input.cropBytes()];
        new Cropper(input).cut(argb, json.getInt("width"), json.getInt("height"), region(json), crop);
        return crop;
    }

    private static float[] floats(byte[] bytes) {
        float[] numbers = new float[bytes.length / 4];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(numbers);
        return numbers;
    }
}
