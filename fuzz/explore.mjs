// The loop: pick from the corpus, mutate, run, keep what covers more. It knows no files and no targets.

/** The longest input: long enough for every limit of the machines that a fuzzer has a chance to meet. */
const MAX_LENGTH = 4096

/**
 * @param fuzz throws where a law is broken
 * @returns how far it came, and the first find, minimised
 */
export function explore(fuzz, { seconds, seed, edges, dictionary, seeds = [], maxRuns = Infinity }) {
  const random = generator(seed)
  const below = (n) => Math.floor(random() * n)
  const best = new Uint8Array(edges.length)
  const corpus = []
  let runs = 0
  let find

  /** Whether the input took an edge in a magnitude that none has. */
  const attempt = (input) => {
    edges.fill(0)
    runs++
    try {
      fuzz(input)
    } catch (error) {
      find = { input, error }
      return
    }
    let news = false
    for (let i = 0; i < edges.length; i++) {
      const hits = edges[i]
      if (hits === 0) continue
      const magnitude = 32 - Math.clz32(hits)
      if (magnitude > best[i]) {
        best[i] = magnitude
        news = true
      }
    }
    if (news) corpus.push(input)
  }

  for (const input of [new Uint8Array(0), ...seeds]) if (find === undefined) attempt(input)
  const until = performance.now() + seconds * 1000
  while (find === undefined && runs < maxRuns && performance.now() < until) {
    for (let i = 0; i < 64 && find === undefined; i++) {
      attempt(mutate(corpus[below(corpus.length)] ?? new Uint8Array(0), corpus, dictionary, below))
    }
  }
  const covered = best.reduce((sum, magnitude) => sum + (magnitude > 0 ? 1 : 0), 0)
  return { runs, corpus: corpus.length, covered, find: find && { ...find, input: minimise(find.input, fuzz) } }
}

function mutate(input, corpus, dictionary, below) {
  let bytes = [...input]
  for (let rounds = 1 + below(4); rounds > 0; rounds--) {
    const at = below(bytes.length + 1)
    switch (below(8)) {
      case 0:
        bytes[Math.min(at, Math.max(0, bytes.length - 1))] = below(256)
        break
      case 1:
        if (bytes.length > 0) bytes[at % bytes.length] ^= 1 << below(8)
        break
      case 2:
        bytes.splice(at, 1 + below(8))
        break
      case 3:
        bytes.splice(at, 0, ...Array.from({ length: 1 + below(4) }, () => below(256)))
        break
      case 4:
      case 5:
        if (dictionary.length > 0) bytes.splice(at, below(2) * 4, ...dictionary[below(dictionary.length)])
        break
      case 6: {
        const from = below(bytes.length + 1)
        bytes.splice(at, 0, ...bytes.slice(from, from + 1 + below(64)))
        break
      }
      case 7: {
        const other = corpus[below(corpus.length)] ?? input
        bytes = [...bytes.slice(0, at), ...other.slice(below(other.length + 1))]
        break
      }
    }
  }
  return Uint8Array.from(bytes.slice(0, MAX_LENGTH))
}

/** The shortest input with which it still throws that can be had by leaving out and by plain letters. */
function minimise(input, fuzz) {
  const fails = (candidate) => {
    try {
      fuzz(candidate)
      return false
    } catch {
      return true
    }
  }
  let shortest = input
  for (let size = Math.max(1, shortest.length >> 1); size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let at = 0; at < shortest.length; ) {
      const candidate = Uint8Array.from([...shortest.slice(0, at), ...shortest.slice(at + size)])
      if (fails(candidate)) shortest = candidate
      else at += size
    }
  }
  for (let at = 0; at < shortest.length; at++) {
    const candidate = Uint8Array.from(shortest)
    candidate[at] = 0x61
    if (fails(candidate)) shortest = candidate
  }
  return shortest
}

/** mulberry32: 32 bits of state are chance enough to be repeatable. */
function generator(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
