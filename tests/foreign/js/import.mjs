// Reads one JSON request a line: {path, chunk, width, raw, version}. Prints the CID that
// ipfs-unixfs-importer gives to the file or directory at `path`, one a line.
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { BlackHoleBlockstore } from 'blockstore-core/black-hole'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

const blockstore = new BlackHoleBlockstore()

async function * candidates (path, name) {
  if (!(await stat(path)).isDirectory()) {
    yield { path: name, content: createReadStream(path) }
    return
  }
  for (const entry of await readdir(path)) {
    yield * candidates(join(path, entry), name === '' ? entry : `${name}/${entry}`)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  const isDirectory = (await stat(request.path)).isDirectory()
  const options = {
    cidVersion: request.version,
    rawLeaves: request.raw,
    leafType: 'file',
    reduceSingleLeafToSelf: true,
    wrapWithDirectory: isDirectory,
    chunker: fixedSize({ chunkSize: request.chunk }),
    layout: balanced({ maxChildrenPerNode: request.width }),
    shardSplitThresholdBytes: 262144,
    shardSplitStrategy: 'links-bytes'
  }
  let last
  for await (const built of importer(candidates(request.path, isDirectory ? '' : 'file'), blockstore, options)) {
    last = built
  }
  console.log(last.cid.toString())
}
