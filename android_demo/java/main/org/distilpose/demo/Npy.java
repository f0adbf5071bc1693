package org.distilpose.demo;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Numpy's files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
final class Npy {
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    private static final Pattern CROPS =
        Pattern.compile("\\{'descr': '\\|u1', 'fortran_order': False, 'shape': \\((\\d{1,7}), ([0-9, ]+)\\), \\}\\s*");

    private Npy() {}

    /**
     * Read the head of crops uint8 [N, H, W, 3]; their bytes follow in the stream.
     *
     * @param bytes of the whole file
     * @return N
     * @throws IOException another type, another shape, or fewer bytes
     */
    static int readCrops(DataInputStream in, InputSpec input, long bytes) throws IOException {
        byte[] magic = new byte[MAGIC.length];
        in.readFully(magic);
        byte[] header = new byte[in.readUnsignedByte() | in.readUnsignedByte() << 8];
        in.readFully(header);
        Matcher match = CROPS.matcher(new String(header, StandardCharsets.ISO_8859_1));
        if (!java.util.Arrays.equals(magic, MAGIC) || !match.matches()) throw new IOException("no uint8 [N, H, W, 3]");
        int count = Integer.parseInt(match.group(1));
        long left = bytes - MAGIC.length - 2 - header.length;
        boolean fits = match.group(2).equals(input.height + ", " + input.width + ", 3");
        if (!fits || left != (long) count * input.cropBytes()) throw new IOException("crops of another size");
        return count;
    }

    /** Write coords [N, K, 2] and scores [N, K] as members of one .npz. */
    static void writeAnswers(OutputStream out, float[] coords, float[] scores, int count, int joints) throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(out)) {
            zip.setLevel(1);
            write(zip, "coords.npy", count + ", " + joints + ", 2", coords);
            write(zip, "scores.npy", count + ", " + joints, scores);
        }
    }

    private static void write(ZipOutputStream zip, String name, String shape, float[] values) throws IOException {
        StringBuilder header = new StringBuilder("{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }");
        while ((MAGIC.length + 2 + header.length() + 1) % 64 != 0) header.append(' ');
        header.append('\n');
        ByteBuffer bytes = ByteBuffer.allocate(MAGIC.length + 2 + header.length() + Float.BYTES * values.length)
            .order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(MAGIC).putShort((short) header.length()).put(header.toString().getBytes(StandardCharsets.ISO_8859_1));
        bytes.asFloatBuffer().put(values);
        zip.putNextEntry(new ZipEntry(name));
        zip.write(bytes.array());
        zip.closeEntry();
    }
}
