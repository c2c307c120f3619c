import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const diskBytes = 96 * 2 ** 20

/** EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`, with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing more reaches the disk. */
const shutdown =
  'sysopen(my $f, $ARGV[0], 0) or die "$!"; my $n = pack("L", 2); ioctl($f, 0x8004587d, $n) or die "$!"'

/** Why there is no power to cut here, or false. The tests then say so instead of being green. */
export const powerSkip: string | false =
  process.getuid?.() === 0
    ? noLoopDevice()
    : 'POWER LOSS IS NOT TESTED HERE: only root can mount a file system and cut its power'

function noLoopDevice(): string | false {
  if (process.platform !== 'linux') return 'POWER LOSS IS NOT TESTED HERE: it takes ext4 on Linux'
  if (spawnSync('losetup', ['-f']).status === 0 && spawnSync('mkfs.ext4', ['-V']).status === 0) return false
  return 'POWER LOSS IS NOT TESTED HERE: there is no loop device or no mkfs.ext4'
}

/**
 * An ext4 file system of its own, which can hang, and whose power can be cut: what was not flushed is gone when it comes back, data and
 * metadata alike, and until then every call is an input/output error.
 */
export class PoweredDisk implements Disposable {
  readonly path: string
  readonly #folder: string
  readonly #image: string
  #isMounted = false
  #isHung = false

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'semel-power-'))
    this.#image = join(this.#folder, 'disk.img')
    this.path = join(this.#folder, 'mounted')
    writeFileSync(this.#image, '')
    truncateSync(this.#image, diskBytes)
    command('mkfs.ext4', '-q', '-F', this.#image)
    mkdirSync(this.path)
    this.#mount()
  }

  /**
   * From now on nothing reaches the disk. Freeze whoever writes before: an fsync that is under way during the
   * cut may answer 0 for data that is gone (seen under strace on Linux 6.x), which a machine without power cannot.
   */
  cutPower(): void {
    command('perl', '-e', shutdown, this.path)
  }

  /** From now on every write and flush waits, and no call fails: as on a disk that resets, or a lost mount. */
  hang(): void {
    command('fsfreeze', '--freeze', this.path)
    this.#isHung = true
  }

  goOn(): void {
    command('fsfreeze', '--unfreeze', this.path)
    this.#isHung = false
  }

  /** Nobody may have a file open. */
  restorePower(): void {
    command('umount', this.path)
    this.#isMounted = false
    this.#mount()
  }

  #mount(): void {
    command('mount', '-o', 'loop', this.#image, this.path)
    this.#isMounted = true
  }

  [Symbol.dispose](): void {
    if (this.#isHung) this.goOn()
    if (this.#isMounted) spawnSync('umount', ['-l', this.path])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function command(program: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${error?.message ?? stderr}`)
}
