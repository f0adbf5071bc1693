package org.distilpose.demo;

import java.nio.ByteBuffer;

/** An opened artefact of one runtime. Each build of the app packs one implementation; `Runners.open` makes it. */
interface Runner extends AutoCloseable {
    /** The memory of the input tensor: a direct buffer in the processor's byte order, which `run` reads. */
    ByteBuffer input();

    /**
     * Run the network.
     *
     * @param coords written: x, y of each joint in 0..1 of the crop
     * @param scores written: about 0..1 of each joint
     * @throws Failure the runtime failed
     */
    void run(float[] coords, float[] scores) throws Failure;

    /** What runs the graph: not what was asked for, but what the runtime took. */
    String accelerator();

    @Override void close();
}
