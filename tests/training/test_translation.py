"""The translators, and making twins."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.translation import generate
from daco_training.translation.compare import compare_translators
from daco_training.translation.directions import foggy_domains, night_domains
from daco_training.translation.fog import FogTranslator, add_fog, remove_fog, transmission
from daco_training.translation.fourier import swap_low_frequencies
from daco_training.translation.generate import generate_twins
from daco_training.translation.night import NightTranslator, to_day, to_night
from daco_training.translation.reinhard import from_lab, to_lab, transfer_statistics
from daco_training.translation.scene.depth import dark_channel, estimate_depth, ground_depth, read_depth
from daco_training.translation.scene.filters import (
    box_filter,
    gaussian_blur,
    guided_filter,
    local_maximum,
    local_minimum,
)
from daco_training.translation.scene.light import add_sensor_noise, luminance, to_image, to_linear
from daco_training.translation.scene.sky import find_sky
from daco_training.translation.snow import SnowTranslator, _drifts, to_snow

METHODS = ["fourier", "reinhard", "fog", "night", "snow"]


def street(brightness: float = 1.0, size: tuple[int, int] = (120, 80), seed: int = 0) -> Image.Image:
    """A bright sky over two facades with dark windows and a grey road, times `brightness`."""
    width, height = size
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), [150, 170, 220], dtype=np.float64)
    middle = height // 2
    pixels[middle:] = 90
    for left, right in ((0, width // 3), (2 * width // 3, width)):
        pixels[height // 4 : middle, left:right] = [170, 120, 90]
        for x in range(left + 4, right - 8, 12):
            pixels[height // 4 + 5 : height // 4 + 12, x : x + 6] = 40
    pixels += random.normal(0.0, 2.0, pixels.shape)
    return Image.fromarray((pixels * brightness).clip(0, 255).astype(np.uint8))


def make_set(root: Path, names: dict[str, str] | None = None, domains: str = "ab", suffix: str = ".jpg") -> DataSet:
    """Three bright photographs in domain_a, two dark ones of another shape in each further domain."""
    for domain in domains:
        folder = root / "set" / "original" / f"domain_{domain}" / "train"
        folder.mkdir(parents=True)
        for number in range(3 if domain == "a" else 2):
            day = domain == "a"
            image = street(1.0 if day else 0.2, (120, 80) if day else (75, 101), number)
            image.save(folder / f"{domain}{number}{suffix}", quality=95)
    if names:
        (root / "set" / "domains.json").write_text(json.dumps(names))
    return DataSet(root, "set")


def twins_of(dataset: DataSet) -> dict[str, bytes]:
    folder = dataset.folder / "generated"
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.glob("domain_*/*/*"))}


def mean_luminance(image: Image.Image) -> float:
    return float(luminance(to_linear(image)).mean())


class TestFourier:
    def test_phases_are_kept_and_low_amplitudes_are_those_of_the_style(self) -> None:
        random = np.random.default_rng(0)
        # far from 0 and 1, so that nothing is clipped
        content, style = (0.5 + 0.05 * random.standard_normal((40, 60, 3)) for _ in range(2))
        before, wanted = (np.fft.fft2(image, axes=(0, 1)) for image in (content, style))
        after = np.fft.fft2(swap_low_frequencies(content, style, 0.05), axes=(0, 1))
        turn = np.angle(after * before.conj())
        assert np.abs(turn[np.abs(after) > 1e-2]).max() < 1e-3
        low = np.ix_(np.arange(-2, 3), np.arange(-2, 3))
        assert np.abs(after[low]) == pytest.approx(np.abs(wanted[low]), rel=1e-3)
        after[low] = before[low]
        assert after == pytest.approx(before, abs=1e-3)

    def test_the_complete_spectrum_of_a_tiny_image_can_be_swapped(self) -> None:
        image = np.full((3, 3, 3), 0.5)
        assert swap_low_frequencies(image, image, 0.5) == pytest.approx(image, abs=1e-6)


class TestReinhard:
    def test_reinhard_gives_the_mean_and_deviation_of_the_style(self) -> None:
        random = np.random.default_rng(0)
        content, style = random.normal(50, 9, (30, 40, 3)), random.normal([20, -5, 7], [3, 1, 2], (25, 31, 3))
        moved = transfer_statistics(content, style)
        assert moved.mean((0, 1)) == pytest.approx(style.mean((0, 1)))
        assert moved.std((0, 1)) == pytest.approx(style.std((0, 1)))

    def test_lab_of_white_and_red_has_the_published_values_and_is_reversible(self) -> None:
        colours = np.array([[[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.001, 0.002, 0.0]]])
        lab = to_lab(colours)
        assert lab[0, 0] == pytest.approx([100, 0, 0], abs=1e-3)
        assert lab[0, 1] == pytest.approx([53.24, 80.09, 67.20], abs=0.01)
        assert from_lab(lab) == pytest.approx(colours, abs=1e-6)


class TestFilters:
    def test_the_box_filter_is_the_mean_of_the_part_of_the_window_inside_the_image(self) -> None:
        values = np.arange(12.0).reshape(3, 4)
        smooth = box_filter(values, 1)
        assert smooth[0, 0] == pytest.approx(np.mean([0, 1, 4, 5]))
        assert smooth[1, 2] == pytest.approx(values[0:3, 1:4].mean())
        assert box_filter(values, 50) == pytest.approx(np.full((3, 4), values.mean()))

    @pytest.mark.parametrize("sigma", [2.0, 12.0])
    def test_the_gaussian_filter_has_the_given_deviation(self, sigma: float) -> None:
        point = np.zeros((161, 161), dtype=np.float32)
        point[80, 80] = 1.0
        blurred = gaussian_blur(point, sigma)
        offsets = np.arange(161) - 80
        assert blurred.sum() == pytest.approx(1.0, abs=0.03)
        assert np.sqrt((blurred.sum(0) * offsets**2).sum()) == pytest.approx(sigma, rel=0.15)

    def test_guided_filter_smooths_noise_and_keeps_the_guides_edge(self) -> None:
        guide = np.zeros((40, 40), dtype=np.float32)
        guide[:, 20:] = 1.0
        noisy = guide + 0.1 * np.random.default_rng(0).standard_normal(guide.shape)
        smooth = guided_filter(guide, noisy, 4, 1e-3)
        assert smooth[:, 20].mean() - smooth[:, 19].mean() > 0.9
        assert (smooth - guide).std() < 0.03
        assert np.abs(np.diff(box_filter(noisy, 4), axis=1)).max() < 0.3  # a plain mean would lose the edge

    @pytest.mark.parametrize("radius", [1, 3, 6])
    def test_local_extremes_equal_an_exhaustive_search_of_each_window(self, radius: int) -> None:
        values = np.random.default_rng(0).random((17, 23))
        windows = [
            values[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            for y in range(17)
            for x in range(23)
        ]
        assert local_maximum(values, radius).ravel() == pytest.approx([window.max() for window in windows])
        assert local_minimum(values, radius).ravel() == pytest.approx([window.min() for window in windows])


class TestLight:
    def test_every_pixel_value_survives_the_conversion_to_radiance_and_back(self) -> None:
        codes = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
        assert np.array_equal(np.asarray(to_image(to_linear(Image.fromarray(codes)))), codes)

    def test_sensor_noise_has_the_variance_of_counted_electrons(self) -> None:
        grey = np.full((200, 200, 3), 0.25, dtype=np.float32)
        noisy = add_sensor_noise(grey, 1000.0, 3.0, np.random.default_rng(0)) * 1000.0
        assert noisy.mean() == pytest.approx(250.0, abs=0.5)
        assert noisy.var() == pytest.approx(250.0 + 9.0, rel=0.03)


class TestFog:
    def test_a_twentieth_of_the_contrast_remains_at_the_visibility_distance(self) -> None:
        assert transmission(np.array([0.0, 80.0, 160.0, np.inf]), 80.0) == pytest.approx([1.0, 0.05, 0.0025, 0.0])

    def test_radiance_fades_into_airlight_with_known_depth(self) -> None:
        radiance = np.full((1, 3, 3), 0.2)
        airlight = np.array([0.5, 0.6, 0.7])
        foggy = add_fog(radiance, np.array([[0.0, 50.0, np.inf]]), 50.0, airlight)
        assert foggy[0, 0] == pytest.approx(radiance[0, 0])
        assert foggy[0, 1] == pytest.approx(0.05 * 0.2 + 0.95 * airlight)
        assert foggy[0, 2] == pytest.approx(airlight)

    def test_fog_is_thicker_where_the_given_depth_is_larger(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path, domains="a")
        photograph = dataset.images("domain_a", "train")[0]
        folder = dataset.folder / "depth" / "domain_a" / "train"
        folder.mkdir(parents=True)
        depth = np.full((80, 120), 200, dtype=np.uint16)  # two metres
        depth[:, 60:] = 60000
        Image.fromarray(depth).save(folder / "a0.png")
        foggy = np.asarray(FogTranslator(dataset).translate(photograph, "domain_b", np.random.default_rng(0)))
        assert foggy[:, :60].std() > 5 * foggy[:, 60:].std()

    def test_depth_is_read_in_metres_from_both_formats_at_any_size(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path, domains="a")
        first, second, third = dataset.images("domain_a", "train")
        folder = dataset.folder / "depth" / "domain_a" / "train"
        folder.mkdir(parents=True)
        Image.fromarray(np.array([[1250, 0]], dtype=np.uint16)).save(folder / "a0.png")
        np.save(folder / "a1.npy", np.array([[12.5, np.nan]]))
        for photograph in (first, second):
            metres = read_depth(dataset, photograph, 4, 2)
            assert metres is not None
            assert np.array_equal(metres, [[12.5, 12.5, np.inf, np.inf]] * 2)
        assert read_depth(dataset, third, 4, 2) is None
        Image.new("RGB", (4, 2)).save(folder / "a2.png")
        with pytest.raises(DacoError, match=r"a2\.png is not a depth map"):
            read_depth(dataset, third, 4, 2)

    def test_estimated_depth_puts_the_sky_far_away_and_the_road_near(self) -> None:
        depth = estimate_depth(street())
        assert depth[:10, 50:70].min() > 1000
        assert depth[-5:].max() < 10
        assert np.isfinite(depth).all()

    def test_the_dark_channel_is_the_smallest_colour_nearby(self) -> None:
        pixels = np.ones((40, 40, 3))
        pixels[20, 20, 1] = 0.3
        dark = dark_channel(pixels)
        assert dark[19:22, 19:22] == pytest.approx(np.full((3, 3), 0.3))
        assert dark[10, 10] == 1.0

    def test_removing_fog_restores_contrast(self) -> None:
        clear = street()
        foggy = to_image(add_fog(to_linear(clear), estimate_depth(clear), 60.0, np.full(3, 0.5)))
        facade = (slice(20, 38), slice(0, 40))
        restored = np.asarray(to_image(remove_fog(foggy)))
        assert np.asarray(foggy)[facade].std() < 0.8 * np.asarray(clear)[facade].std()
        assert restored[facade].std() > 1.3 * np.asarray(foggy)[facade].std()


class TestNight:
    def test_the_night_twin_of_a_day_is_darker_and_keeps_edges(self) -> None:
        day = street()
        night = to_night(day, np.random.default_rng(1))
        assert mean_luminance(night) < 0.25 * mean_luminance(day)
        sky, road = (np.asarray(night)[part].mean() for part in ((slice(0, 15), slice(45, 75)), slice(50, 80)))
        assert sky < road  # by day it is the other way round
        edge_by_day, edge_by_night = (
            np.abs(np.diff(np.asarray(image.convert("L"), dtype=float)[25:38].mean(axis=0))) for image in (day, night)
        )
        assert np.corrcoef(edge_by_day, edge_by_night)[0, 1] > 0.4

    def test_the_day_twin_of_a_night_is_brighter_and_greyer(self) -> None:
        night = Image.fromarray((np.asarray(street(0.15)) * [1.0, 0.8, 0.5]).astype(np.uint8))
        day = to_day(night, np.random.default_rng(0))
        assert mean_luminance(day) > 5 * mean_luminance(night)
        before, after = (to_linear(image)[40:].mean((0, 1)) for image in (night, day))
        assert after.min() / after.max() > 1.5 * before.min() / before.max()

    @pytest.mark.parametrize("make", [to_night, to_day])
    @pytest.mark.parametrize("size", [(1, 1), (3, 400), (333, 5), (64, 64)])
    def test_photographs_of_any_shape_are_translated(self, make: object, size: tuple[int, int]) -> None:
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        assert make(image, np.random.default_rng(0)).size == size  # type: ignore[operator]

    def test_black_and_white_pictures_are_translated(self) -> None:
        for colour in ("black", "white"):
            image = Image.new("RGB", (40, 30), colour)
            for picture in (
                to_night(image, np.random.default_rng(0)),
                to_day(image, np.random.default_rng(0)),
                to_image(remove_fog(image)),
            ):
                assert picture.size == (40, 30)

    def test_the_sky_is_the_even_and_bright_part_below_the_top(self) -> None:
        sky = find_sky(street(), night=False)
        assert sky[:15, 45:75].min() > 0.9
        assert sky[45:].max() < 0.1


class TestSnow:
    DEPTH = np.vstack([np.full((40, 120), np.inf), np.broadcast_to(ground_depth(80, 120)[40:], (40, 120))])

    def test_snow_makes_the_ground_whiter_than_what_stands_on_it(self) -> None:
        clear, depth = street(), self.DEPTH.copy()
        depth[20:40, :40] = depth[20:40, 80:] = 10.0

        def road_over_facade(image: Image.Image) -> float:
            value = luminance(to_linear(image))
            return float(value[55:].mean() / value[25:38, 5:35].mean())

        snowy = [road_over_facade(to_snow(clear, depth, np.random.default_rng(seed))) for seed in range(8)]
        assert np.median(snowy) > 1.5 * road_over_facade(clear)

    def test_snow_keeps_a_window_darker_than_the_wall_around_it(self) -> None:
        snowy = luminance(to_linear(to_snow(street(), estimate_depth(street()), np.random.default_rng(3))))
        assert snowy[26:31, 5:9].mean() < snowy[33:38, 5:35].mean()

    def test_snow_on_the_ground_lies_in_stripes_along_the_street(self) -> None:
        drifts = _drifts(80, 120, np.random.default_rng(0))
        assert drifts.shape == (80, 120)
        assert 0.0 <= drifts.min() < 0.3 < 0.7 < drifts.max() <= 1.0
        near = drifts[70]
        assert near[:60].std() > 0.02 and np.abs(np.diff(near)).max() < 0.1  # smooth, and not all alike

    def test_the_snow_translator_rejects_photographs_in_snow(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path, {"domain_a": "summer", "domain_b": "winter"})
        with pytest.raises(DacoError, match="cannot remove snow, and domain_b of set is named after it"):
            SnowTranslator(dataset)


class TestDirections:
    def test_names_of_domains_tell_which_is_night_and_which_is_fog(self, tmp_path: Path) -> None:
        names = {"domain_a": "night", "domain_b": "day", "domain_c": "Foggy"}
        dataset = make_set(tmp_path, names, "abc")
        assert night_domains(dataset) == {"domain_a"}
        assert foggy_domains(dataset) == {"domain_c"}

    def test_without_names_the_darker_domain_is_night(self, tmp_path: Path) -> None:
        assert night_domains(make_set(tmp_path)) == {"domain_b"}

    def test_a_single_domain_is_day_unless_its_name_says_otherwise(self, tmp_path: Path) -> None:
        assert night_domains(make_set(tmp_path, domains="a")) == set()
        (tmp_path / "set" / "domains.json").write_text('{"domain_a": "night"}')
        assert night_domains(DataSet(tmp_path, "set")) == {"domain_a"}

    def test_night_turns_into_day_and_day_into_night(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path)
        translator = NightTranslator(dataset)
        for domain, factor in (("domain_a", 0.5), ("domain_b", 2.0)):
            photograph = dataset.images(domain, "train")[0]
            twin = translator.translate(photograph, "", np.random.default_rng(0))
            before, after = mean_luminance(Image.open(photograph)), mean_luminance(twin)
            assert (after < factor * before) if factor < 1 else (after > factor * before)


class TestGenerate:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("suffix", [".jpg", ".png"])
    def test_twins_have_the_originals_names_and_sizes(self, tmp_path: Path, method: str, suffix: str) -> None:
        dataset = make_set(tmp_path, domains="abc", suffix=suffix)
        report = generate_twins(dataset, method)
        assert (report.made, report.kept) == (7, 0)
        for original in dataset.training_images():
            assert Image.open(dataset.twin(original)).size == Image.open(original).size
            assert dataset.twin(original).name == original.name
        assert report.sheet == dataset.folder / "generated" / "contact_sheet.jpg"
        assert Image.open(report.sheet).width > 300

    @pytest.mark.parametrize("method", METHODS)
    def test_twins_depend_only_on_the_seed(self, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset = make_set(tmp_path)
        generate_twins(dataset, method)
        several = twins_of(dataset)
        monkeypatch.setattr(generate, "in_threads", lambda function, items, description: map(function, items))
        generate_twins(dataset, method, overwrite=True)
        assert twins_of(dataset) == several
        generate_twins(dataset, method, seed=1, overwrite=True)
        assert twins_of(dataset) != several

    def test_a_stopped_run_resumes_and_leaves_no_broken_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = make_set(tmp_path)
        whole = generate_twins(dataset, "night") and twins_of(dataset)
        generate_twins(make_set(tmp_path / "other"), "night")
        second = DataSet(tmp_path / "other", "set")
        for twin in list((second.folder / "generated").glob("domain_b/*/*")):
            twin.unlink()

        def full_disk(self: Image.Image, file: Path, **options: object) -> None:
            Path(file).write_bytes(b"half")
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "save", full_disk)
            with pytest.raises(DacoError, match="No space left"):
                generate_twins(second, "night")
        assert not list((second.folder / "generated").glob("domain_b/*/*"))
        report = generate_twins(second, "night")
        assert (report.made, report.kept) == (2, 3)
        assert twins_of(second) == whole

    def test_twins_of_another_method_are_not_mixed(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path)
        generate_twins(dataset, "fourier")
        with pytest.raises(DacoError, match="--overwrite"):
            generate_twins(dataset, "fog")
        with pytest.raises(DacoError, match="--overwrite"):
            generate_twins(dataset, "fourier", seed=1)
        (dataset.folder / "generated" / "translation.json").unlink()
        with pytest.raises(DacoError, match="an unknown method"):
            generate_twins(dataset, "fourier")
        assert generate_twins(dataset, "fog", overwrite=True).made == 5

    def test_an_overwrite_that_is_stopped_leaves_no_twin_of_the_old_method(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = make_set(tmp_path)
        generate_twins(dataset, "fourier")

        def stop(*arguments: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(generate, "make_twin", stop)
            with pytest.raises(KeyboardInterrupt):
                generate_twins(dataset, "fog", overwrite=True)
        assert twins_of(dataset) == {}
        assert generate_twins(dataset, "fog").made == 5

    def test_one_domain_is_enough_for_filters_but_not_for_translators_that_copy_a_style(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path, domains="a")
        for method in ("fourier", "reinhard", "cut"):
            with pytest.raises(DacoError, match=r"domain_b.train has none; night, fog and snow need only one"):
                generate_twins(dataset, method)
        assert not (dataset.folder / "generated").exists()
        for method in ("night", "fog", "snow"):
            assert generate_twins(dataset, method, overwrite=True).made == 3

    def test_unknown_methods_and_splits_are_named(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path)
        with pytest.raises(DacoError, match="choose fourier, reinhard, fog, night, snow, cut"):
            generate_twins(dataset, "gan")
        with pytest.raises(DacoError, match="choose train, val or all"):
            generate_twins(dataset, "fog", split="test")

    def test_a_broken_photograph_is_named(self, tmp_path: Path) -> None:
        dataset = make_set(tmp_path)
        (dataset.folder / "original" / "domain_a" / "train" / "a0.jpg").write_bytes(b"no picture")
        with pytest.raises(DacoError, match=r"a0\.jpg cannot be read"):
            generate_twins(dataset, "fog")


class TestCommand:
    def run(self, forked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([forked / "daco-data", "translate", *arguments], capture_output=True, text=True)

    def test_twins_are_made_and_shown_from_the_command_line(self, tmp_path: Path, forked: Path) -> None:
        make_set(tmp_path, {"domain_a": "day", "domain_b": "night"})
        done = self.run(forked, "set", "--data_root", str(tmp_path), "--method", "night")
        assert done.returncode == 0
        assert "5 twins made, 0 already existed" in done.stdout
        assert "contact_sheet.jpg" in done.stdout
        shown = self.run(forked, "set", "--data-root", str(tmp_path), "--compare", "--out", str(tmp_path / "c.png"))
        assert shown.returncode == 0
        assert "without cut: There is no CUT model" in shown.stdout
        assert (tmp_path / "c.png").is_file()

    def test_a_mistake_is_reported_in_one_sentence(self, tmp_path: Path, forked: Path) -> None:
        make_set(tmp_path, domains="a")
        failed = self.run(forked, "set", "--data-root", str(tmp_path), "--method", "cut")
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: Method cut learns the look of the other domain")
        assert "Traceback" not in failed.stderr


class TestCompare:
    def test_the_contact_sheet_shows_every_translator_that_applies(self, tmp_path: Path) -> None:
        comparison = compare_translators(make_set(tmp_path), tmp_path / "sheet.png")
        assert list(comparison.left_out) == ["cut"]
        assert "train it with" in comparison.left_out["cut"]
        assert Image.open(comparison.sheet).width > 5 * 256
        alone = compare_translators(make_set(tmp_path / "other", domains="a"))
        assert list(alone.left_out) == ["fourier", "reinhard", "cut"]
        assert alone.sheet == tmp_path / "other" / "set" / "translation" / "compare.jpg"
        assert not (tmp_path / "set" / "generated").exists()


def test_a_twin_is_found_by_the_complete_name_of_its_photograph(tmp_path: Path) -> None:
    (tmp_path / "set" / "original").mkdir(parents=True)
    dataset = DataSet(tmp_path, "set")
    original, generated = (dataset.split_folder("domain_a", "train", kind) for kind in ("original", "generated"))
    for file in (generated / "street.2.png", generated / "x[1].png"):
        file.parent.mkdir(parents=True, exist_ok=True)
        street().save(file)
    assert dataset.twin(original / "street.jpg") == generated / "street.jpg"
    assert dataset.twin(original / "street.2.jpg") == generated / "street.2.png"
    assert dataset.twin(original / "x[1].jpg") == generated / "x[1].png"
