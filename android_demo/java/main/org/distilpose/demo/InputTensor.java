package org.distilpose.demo;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** Writes a crop into the tensor that an artefact takes: `normalise` of pose/crop.py, in the card's layout and type. */
final class InputTensor {
    private final InputSpec input;
    private final ByteBuffer bytes;
    private final FloatBuffer floats;
    private final float[] values;

    /** Into a runtime's own memory, a direct buffer in the processor's byte order. */
    InputTensor(InputSpec input, ByteBuffer memory) {
        this.input = input;
        bytes = memory;
        floats = input.takesPixels ? null : memory.asFloatBuffer();
        values = new float[input.takesPixels ? 0 : input.cropBytes()];
    }

    /** Write a crop uint8 RGB [height, width, 3]. */
    void write(byte[] crop) {
        int plane = input.width * input.height;
        if (input.takesPixels) {
            bytes.rewind();
            if (!input.channelsFirst) {
                bytes.put(crop);
                return;
            }
            for (int channel = 0; channel < 3; channel++) {
                for (int i = channel; i < crop.length; i += 3) bytes.put(crop[i]);
            }
            return;
        }
        for (int channel = 0; channel < 3; channel++) {
            float mean = input.mean[channel];
            float std = input.std[channel];
            int to = input.channelsFirst ? channel * plane : channel;
            int step = input.channelsFirst ? 1 : 3;
            for (int i = channel; i < crop.length; i += 3, to += step) values[to] = ((crop[i] & 255) - mean) / std;
        }
        floats.rewind();
        floats.put(values);
    }
}
