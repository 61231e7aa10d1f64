// The GET that ARCHITECTURE.md tells, played line by line.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { PoolMachine, type PoolCommand, type PoolInput } from '../src/pool/index.ts'
import { splitUrl } from '../src/index.ts'
import { SETTINGS } from './pool/world.ts'

interface Line {
  readonly at: number
  readonly input: Record<string, unknown>
  readonly commands: Record<string, unknown>[]
}

it('happens as it is told', () => {
  const told = lines()
  expect(told).toHaveLength(7)
  const pool = new PoolMachine(SETTINGS, { now: 0, seed: 1 })
  for (const [i, { at, input, commands }] of told.entries()) {
    if (input['type'] === 'timeout') expect(pool.nextTimeout()).toBe(at)
    pool.handle(inputOf(input), at)
    expect(polled(pool), `call ${i + 1}`).toMatchObject(commands)
  }
  expect(pool.nextTimeout()).toBeUndefined()
})

function lines(): Line[] {
  const block = /<!-- played -->\s*```\n([^`]*)```/.exec(readFileSync('ARCHITECTURE.md', 'utf8'))?.[1] ?? ''
  const told: Line[] = []
  for (const line of block.split('\n')) {
    const input = /^\d+\. +(\d+) → (.*)$/.exec(line)
    const command = /^ +← (.*)$/.exec(line)
    if (input !== null) told.push({ at: Number(input[1]), input: parse(input[2]), commands: [] })
    if (command !== null) told.at(-1)?.commands.push(parse(command[1]))
  }
  return told
}
function parse(text: string | undefined): Record<string, unknown> {
  return JSON.parse(text ?? '') as Record<string, unknown>
}

/** `GET` stands for the rest of a request; bytes are told as text. */
function inputOf(told: Record<string, unknown>): PoolInput {
  if (typeof told['data'] === 'string')
    return { ...told, data: new TextEncoder().encode(told['data']) } as unknown as PoolInput
  if (typeof told['GET'] !== 'string') return told as unknown as PoolInput
  const { origin, target } = splitUrl(told['GET'])
  return {
    type: 'request',
    id: told['id'] as number,
    origin,
    head: { method: 'GET', scheme: origin.scheme, authority: origin.host, target, headers: [] },
    content: 'none',
    replayable: true,
    timeouts: { pool: 30_000, connect: 10_000, write: 60_000, read: 300_000, total: Infinity },
    expectContinue: false,
    trace: false,
  }
}
function polled(pool: PoolMachine): unknown[] {
  const commands: unknown[] = []
  for (let command = pool.poll(); command !== undefined; command = pool.poll()) commands.push(readable(command))
  return commands
}
function readable(command: PoolCommand): unknown {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
  if (command.type === 'write') return { ...command, chunks: command.chunks.map(text) }
  if (command.type !== 'deliver' || command.event.type !== 'data') return command
  return { ...command, event: { ...command.event, data: text(command.event.data) } }
}
