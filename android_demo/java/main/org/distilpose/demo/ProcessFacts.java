package org.distilpose.demo;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/** What Linux tells a process about itself and the processor. */
final class ProcessFacts {
    private static final int MOST_CORES = 8;

    private ProcessFacts() {}

    /** Peak resident memory of this process so far; 0 where it is not known. */
    static double peakMb() {
        try {
            for (String line : Files.readAllLines(new File("/proc/self/status").toPath())) {
                if (line.startsWith("VmHWM:")) return Integer.parseInt(line.trim().split("\\s+")[1]) / 1024.0;
            }
        } catch (IOException | NumberFormatException error) {
            return 0;
        }
        return 0;
    }

    /** The clock of each core; empty where an app may not read it. */
    static List<Double> clocksMhz() {
        List<Double> clocks = new ArrayList<>();
        for (int core = 0; core < Math.min(Runtime.getRuntime().availableProcessors(), MOST_CORES); core++) {
            File file = new File("/sys/devices/system/cpu/cpu" + core + "/cpufreq/scaling_cur_freq");
            try {
                if (file.canRead()) clocks.add(Integer.parseInt(Files.readAllLines(file.toPath()).get(0).trim()) / 1e3);
            } catch (IOException | RuntimeException error) {
                continue; // a core that is switched off
            }
        }
        return clocks;
    }
}
