#!/usr/bin/env node
import { startEmulator } from "./start.ts";

process.exitCode = await startEmulator(process.argv.slice(2), "keyway-emulator");
