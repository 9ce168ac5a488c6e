// Unpacks npm's Chromium, with the libraries it needs, into TMPDIR. A process of its own: the package changes its environment.
import chromium from "@sparticuz/chromium";

await chromium.executablePath();
