package org.distilpose.demo;

/** An upright picture, as android.graphics.Color: what crops are cut from and what is shown. */
final class Picture {
    int width;
    int height;
    /** [height * width], or longer. */
    int[] argb = new int[0];

    /** Take a size; the memory is kept where it is large enough. */
    void resize(int width, int height) {
        this.width = width;
        this.height = height;
        if (argb.length < width * height) argb = new int[width * height];
    }
}
