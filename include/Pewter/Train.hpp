#pragma once

// Everything of the training layer.
#include <Pewter/train/BatchSampler.hpp>
#include <Pewter/train/CsvDataset.hpp>
#include <Pewter/train/DataSources.hpp>
#include <Pewter/train/Dataset.hpp>
#include <Pewter/train/Digits.hpp>
#include <Pewter/train/IdxDataset.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/Network.hpp>
#include <Pewter/train/NetworkBuilder.hpp>
#include <Pewter/train/Progress.hpp>
#include <Pewter/train/Synthetic.hpp>
#include <Pewter/train/Trainer.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
