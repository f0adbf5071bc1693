package org.distilpose.demo;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** Writes a crop into the tensor that an artefact takes: `normalise` of pose/crop.py, in the layout and type of the card. */
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
        if (input.takesPixels && !input.channelsFirst && !input.blueFirst) {
            bytes.rewind();
            bytes.put(crop);
            return;
        }
        for (int channel = 0; channel < 3; channel++) {
            float mean = input.mean[channel];
            float std = input.std[channel];
            int place = input.blueFirst ? 2 - channel : channel;
            int to = input.channelsFirst ? place * plane : place;
            int step = input.channelsFirst ? 1 : 3;
            if (input.takesPixels) {
                for (int i = channel; i < crop.length; i += 3, to += step) bytes.put(to, crop[i]);
                continue;
            }
            for (int i = channel; i < crop.length; i += 3, to += step) values[to] = ((crop[i] & 255) - mean) / std;
        }
        if (input.takesPixels) return;
        floats.rewind();
        floats.put(values);
    }
}
