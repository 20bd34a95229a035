import { encode, pcmu } from '../sound/g711.js';
import { sampleRate, wavHeader } from '../sound/wav.js';

/** Four bars in C: a chord each, its notes as MIDI has them, and the bass an octave below the first. */
const chords = [
  [60, 64, 67, 71],
  [57, 60, 64, 67],
  [53, 57, 60, 64],
  [55, 59, 62, 64],
] as const;
/** Which note of the chord is plucked at each eighth of a bar. */
const pattern = [0, 2, 1, 3, 2, 1, 3, 2] as const;
const eighthSamples = sampleRate / 2;
const barSamples = pattern.length * eighthSamples;
/** After which nothing is left of a note. */
const noteSamples = 3 * sampleRate;
const harmonics = [1, 0.4, 0.15, 0.05] as const;
/** A quarter of what there is, which is −12 dBFS: telephones are close to the ear. */
const peak = 8192;

/**
 * What the build writes beside this file, and what a relay plays as `music-on-hold.wav` where nobody has put another one: 16 s, whose
 * end goes on into its beginning. Composed here, so that nobody else has a right in it.
 */
export function musicOnHold(): Buffer {
  const sound = composed();
  const loudest = sound.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  const samples = Int16Array.from(sound, (sample) => Math.round((sample * peak) / loudest));
  return Buffer.concat([wavHeader(1, samples.length, 'muLaw'), encode(samples, pcmu)]);
}

function composed(): Float64Array {
  const sound = new Float64Array(chords.length * barSamples);
  for (const [bar, chord] of chords.entries()) {
    pluck(sound, bar * barSamples, chord[0] - 12, 0.8);
    for (const [eighth, note] of pattern.entries()) {
      pluck(sound, bar * barSamples + eighth * eighthSamples, chord[note], 0.5);
    }
  }
  return sound;
}

/** A string: its overtones fade sooner. What is left at the end of the loop sounds on at its beginning. */
function pluck(sound: Float64Array, at: number, note: number, loudness: number): void {
  const hertz = 440 * 2 ** ((note - 69) / 12);
  for (let index = 0; index < noteSamples; index++) {
    const seconds = index / sampleRate;
    const attack = Math.min(1, seconds / 0.01);
    let sample = 0;
    for (const [above, strength] of harmonics.entries()) {
      const decay = Math.exp(-seconds * (2 + 2 * above));
      sample += strength * decay * Math.sin(2 * Math.PI * hertz * (above + 1) * seconds);
    }
    const position = (at + index) % sound.length;
    sound[position] = (sound[position] as number) + loudness * attack * sample;
  }
}
